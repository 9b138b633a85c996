//! Text of a rule to [`Expr`], accepting and refusing exactly what oslo.policy does.
//!
//! The grammar is that of a shift-and-reduce parser over words split at white space. What it cannot reduce to one
//! expression means "nobody", with a fault that says so; parsing never fails otherwise.

use crate::expr::Expr;

/// How deep `not` and parentheses may nest. Python's own recursion limit ends a little above twice this.
pub(crate) const MAX_NESTING: usize = 200;

/// A parsed rule and what was wrong with its text, in words for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The rule; [`Expr::Never`] where the text made no sense.
    pub expr: Expr,
    /// What could not be understood. Empty for a sound rule.
    pub faults: Vec<String>,
}

/// Parses a rule in the text form: `role:admin or (role:manager and domain_id:%(target.user.domain_id)s)`.
///
/// The empty text allows everybody.
pub fn parse_text(rule: &str) -> Parsed {
    if rule.is_empty() {
        return Parsed { expr: Expr::Always, faults: Vec::new() };
    }
    let mut parser = Parser::default();
    for word in rule.split(is_python_space).filter(|word| !word.is_empty()) {
        parser.read_word(word);
    }
    parser.finish(rule)
}

/// Parses a rule in the list form: the outer list is joined by `or`, inner lists by `and`, each item is one check.
///
/// No items at all allow everybody, but nothing except empty inner lists allows nobody.
pub fn parse_list(rule: &[Vec<String>]) -> Parsed {
    let mut faults = Vec::new();
    if rule.is_empty() {
        return Parsed { expr: Expr::Always, faults };
    }
    let mut alternatives: Vec<Expr> = Vec::new();
    for inner in rule.iter().filter(|inner| !inner.is_empty()) {
        let mut checks: Vec<Expr> = inner.iter().map(|check| parse_check(check, &mut faults)).collect();
        let single = if checks.len() == 1 { checks.pop() } else { None };
        alternatives.push(single.unwrap_or(Expr::And(checks)));
    }
    let expr = match (alternatives.pop(), alternatives.is_empty()) {
        (None, _) => Expr::Never,
        (Some(only), true) => only,
        (Some(last), false) => {
            alternatives.push(last);
            Expr::Or(alternatives)
        }
    };
    Parsed { expr, faults }
}

/// Parses one check, such as `role:admin`, `!` or `user_id:%(user_id)s`.
fn parse_check(check: &str, faults: &mut Vec<String>) -> Expr {
    match check {
        "!" => return Expr::Never,
        "@" => return Expr::Always,
        _ => {}
    }
    match check.split_once(':') {
        None => {
            faults.push(format!("`{check}` is no check (kind:match); it denies"));
            Expr::Never
        }
        Some(("rule", name)) => Expr::Rule(name.to_owned()),
        Some(("role", name)) => Expr::Role(name.to_owned()),
        Some(("http" | "https", _)) => Expr::Remote(check.to_owned()),
        Some((kind, text)) => Expr::Match { kind: kind.to_owned(), text: text.to_owned() },
    }
}

/// What Python's `\s` matches in text: the white space of Unicode, and the four ASCII separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

#[derive(Debug)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// A quoted word. The grammar has no place for it, so that any rule with one is refused.
    Quoted,
    Check(Expr),
    AndExpr(Vec<Expr>),
    OrExpr(Vec<Expr>),
}

#[derive(Debug, Default)]
struct Parser {
    /// Tokens not yet reduced, each with the nesting depth of its expression.
    stack: Vec<(Token, usize)>,
    faults: Vec<String>,
    too_deep: bool,
}

impl Parser {
    /// Parentheses are tokens only at the ends of a word: `%(a)s` keeps its own.
    fn read_word(&mut self, word: &str) {
        let inner = word.trim_start_matches('(');
        for _ in 0..word.len() - inner.len() {
            self.shift(Token::Open, 0);
        }
        let clean = inner.trim_end_matches(')');
        if !clean.is_empty() {
            let token = match clean.to_lowercase().as_str() {
                "and" => Token::And,
                "or" => Token::Or,
                "not" => Token::Not,
                _ if is_quoted(inner) => Token::Quoted,
                _ => Token::Check(parse_check(clean, &mut self.faults)),
            };
            self.shift(token, 0);
        }
        for _ in 0..inner.len() - clean.len() {
            self.shift(Token::Close, 0);
        }
    }

    fn shift(&mut self, token: Token, depth: usize) {
        if self.too_deep || self.stack.len() > MAX_NESTING * 4 {
            self.too_deep = true;
            return;
        }
        self.stack.push((token, depth));
        while self.reduce() {}
    }

    /// Applies one rule of the grammar to the end of the stack; whether one fitted.
    fn reduce(&mut self) -> bool {
        let reduced = match self.stack.as_slice() {
            [.., (Token::Open, _), (Token::Check(_) | Token::AndExpr(_) | Token::OrExpr(_), _), (Token::Close, _)] => {
                self.stack.pop();
                let inner = self.stack.pop();
                self.stack.pop();
                inner.map(|(token, depth)| (Token::Check(into_expr(token)), depth))
            }
            [
                ..,
                (Token::Check(_) | Token::AndExpr(_) | Token::OrExpr(_), _),
                (Token::And, _),
                (Token::Check(_), _),
            ] => self.pop_pair().map(|(left, right, depth)| (conjunction(left, right), depth)),
            [.., (Token::Check(_) | Token::AndExpr(_) | Token::OrExpr(_), _), (Token::Or, _), (Token::Check(_), _)] => {
                self.pop_pair().map(|(left, right, depth)| (alternative(left, right), depth))
            }
            [.., (Token::Not, _), (Token::Check(_), _)] => {
                let check = self.stack.pop();
                self.stack.pop();
                check.map(|(token, depth)| (Token::Check(Expr::Not(Box::new(into_expr(token)))), depth + 1))
            }
            _ => return false,
        };
        let Some((token, depth)) = reduced else { return false };
        if depth > MAX_NESTING {
            self.too_deep = true;
        }
        self.stack.push((token, depth));
        true
    }

    /// Takes `left`, an operator and `right` off the stack, with the depth of what joins them.
    fn pop_pair(&mut self) -> Option<(Token, Expr, usize)> {
        let (right, right_depth) = self.stack.pop()?;
        self.stack.pop();
        let (left, left_depth) = self.stack.pop()?;
        // An operator that extends a chain adds no level, but one `and` below an `or` may.
        let depth = match left {
            Token::Check(_) => left_depth.max(right_depth) + 1,
            _ => left_depth.max(right_depth + 2),
        };
        Some((left, into_expr(right), depth))
    }

    fn finish(mut self, rule: &str) -> Parsed {
        if self.too_deep {
            self.faults.push(format!("nested deeper than {MAX_NESTING} levels; it denies"));
            return Parsed { expr: Expr::Never, faults: self.faults };
        }
        let only = if self.stack.len() == 1 { self.stack.pop() } else { None };
        if let Some((token @ (Token::Check(_) | Token::AndExpr(_) | Token::OrExpr(_)), _)) = only {
            return Parsed { expr: into_expr(token), faults: self.faults };
        }
        self.faults.push(format!("`{}` is no rule of the policy language; it denies", shorten(rule)));
        Parsed { expr: Expr::Never, faults: self.faults }
    }
}

fn is_quoted(word: &str) -> bool {
    word.len() >= 2
        && ((word.starts_with('"') && word.ends_with('"')) || (word.starts_with('\'') && word.ends_with('\'')))
}

fn into_expr(token: Token) -> Expr {
    match token {
        Token::Check(expr) => expr,
        Token::AndExpr(items) => Expr::And(items),
        Token::OrExpr(items) => Expr::Or(items),
        Token::Open | Token::Close | Token::And | Token::Or | Token::Not | Token::Quoted => Expr::Never,
    }
}

fn conjunction(left: Token, right: Expr) -> Token {
    match left {
        Token::AndExpr(mut items) => {
            items.push(right);
            Token::AndExpr(items)
        }
        // `a or b and c`: the `and` takes the last alternative.
        Token::OrExpr(mut items) => {
            let joined = match items.pop() {
                Some(Expr::And(mut inner)) => {
                    inner.push(right);
                    Expr::And(inner)
                }
                Some(last) => Expr::And(vec![last, right]),
                None => right,
            };
            items.push(joined);
            Token::OrExpr(items)
        }
        other => Token::AndExpr(vec![into_expr(other), right]),
    }
}

fn alternative(left: Token, right: Expr) -> Token {
    match left {
        Token::OrExpr(mut items) => {
            items.push(right);
            Token::OrExpr(items)
        }
        other => Token::OrExpr(vec![into_expr(other), right]),
    }
}

/// At most 200 characters of a text, for messages.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(rule: &str) -> String {
        let parsed = parse_text(rule);
        assert_eq!(parsed.faults, Vec::<String>::new(), "{rule}");
        parsed.expr.to_string()
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert_eq!(canonical("a:1 or b:2 and c:3 and d:4 or e:5"), "(a:1 or (b:2 and c:3 and d:4) or e:5)");
        assert_eq!(canonical("a:1 and b:2 or c:3"), "((a:1 and b:2) or c:3)");
        assert_eq!(canonical("not a:1 and (b:2 or not c:3)"), "(not a:1 and (b:2 or not c:3))");
        assert_eq!(canonical("NOT not a:1 OR\tb:2"), "(not not a:1 or b:2)");
        assert_eq!(canonical("((a:%(x)s))"), "a:%(x)s");
    }

    #[test]
    fn nothing_and_at_allow_and_bang_denies() {
        assert_eq!(parse_text("").expr, Expr::Always);
        assert_eq!(parse_text("@").expr, Expr::Always);
        assert_eq!(parse_text("(!)").expr, Expr::Never);
        assert_eq!(parse_text("!").faults, Vec::<String>::new());
    }

    #[test]
    fn malformed_text_denies_and_is_reported() {
        for rule in [" ", "()", "(a:1", "a:1)", "a:1 b:2", "a:1 and", "or a:1", "not", "'a'", "'a':'b'", "admin"] {
            let parsed = parse_text(rule);
            assert_eq!(parsed.expr, Expr::Never, "{rule}");
            assert_eq!(parsed.faults.len(), 1, "{rule}");
        }
        let parsed = parse_text("admin or role:member");
        assert_eq!((parsed.expr.to_string().as_str(), parsed.faults.len()), ("(! or role:member)", 1));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = |levels: usize| parse_text(&format!("{}a:1", "not ".repeat(levels)));
        assert_eq!(deep(MAX_NESTING).faults, Vec::<String>::new());
        assert_eq!(deep(MAX_NESTING + 1).expr, Expr::Never);
        assert_eq!(parse_text(&"(".repeat(1_000_000)).expr, Expr::Never);
        let right_leaning = format!("{}a:1{}", "(a:1 or ".repeat(100_000), ")".repeat(100_000));
        assert_eq!(parse_text(&right_leaning).expr, Expr::Never);
    }

    #[test]
    fn long_chains_are_not_deep() {
        let chain = vec!["a:1"; 10_000].join(" or ");
        assert_eq!(parse_text(&chain).faults, Vec::<String>::new());
    }

    #[test]
    fn lists_are_or_of_and() {
        let list = |rule: &[&[&str]]| {
            parse_list(&rule.iter().map(|inner| inner.iter().map(|s| (*s).to_owned()).collect()).collect::<Vec<_>>())
        };
        assert_eq!(list(&[]).expr, Expr::Always);
        assert_eq!(list(&[&[]]).expr, Expr::Never);
        assert_eq!(list(&[&["a:1"]]).expr.to_string(), "a:1");
        assert_eq!(list(&[&["a:1", "b:2"], &[], &["c:3 or d:4"]]).expr.to_string(), "((a:1 and b:2) or c:3 or d:4)");
        assert_eq!(list(&[&["admin"]]).faults.len(), 1);
    }
}
