//! `$name`, `${name}`, `$group.name` inside values; `$$` and `\$` for a dollar sign.

/// Replaces every reference in `text` by what `lookup` gives for its name. A dollar sign that starts
/// no reference stays as it is.
pub(crate) fn interpolate<E>(text: &str, mut lookup: impl FnMut(&str) -> Result<String, E>) -> Result<String, E> {
    // oslo.config does this before it looks for references, so `\$$x` is `$` and a plain `$x`.
    let text = text.replace("\\$", "$$");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = braced(after).or_else(|| named(after)) {
            out.push_str(&lookup(name)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn braced(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = named(text.strip_prefix('{')?)?;
    Some((name, rest.strip_prefix('}')?))
}

/// The longest name at the start of `text`: a letter or underscore, then also digits and dots.
fn named(text: &str) -> Option<(&str, &str)> {
    let first = |c: char| c == '_' || is_letter(c);
    if !text.starts_with(first) {
        return None;
    }
    let end = text.find(|c: char| !(first(c) || c == '.' || c.is_ascii_digit())).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Python's `[a-z]` without regard to case also matches the four letters that fold into ASCII.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{130}' | '\u{131}' | '\u{17f}' | '\u{212a}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> String {
        interpolate::<()>(text, |name| Ok(format!("<{name}>"))).unwrap()
    }

    #[test]
    fn references_are_replaced() {
        assert_eq!(run("a$b c"), "a<b> c");
        assert_eq!(run("${b}c"), "<b>c");
        assert_eq!(run("$g.b/x"), "<g.b>/x");
        assert_eq!(run("$b."), "<b.>");
        assert_eq!(run("$a$b"), "<a><b>");
    }

    #[test]
    fn dollars_can_be_escaped() {
        assert_eq!(run("$$b \\$b"), "$b $b");
        assert_eq!(run("\\\\$b"), "\\$b");
        assert_eq!(run("$$$b"), "$<b>");
    }

    #[test]
    fn other_dollars_stay() {
        for text in ["$", "$1", "${b", "$ {b}", "${b c}", "a$"] {
            assert_eq!(run(text), text);
        }
    }
}
