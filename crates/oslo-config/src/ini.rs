//! The file syntax: sections, assignments, continuation lines, comments.

use crate::python;

/// One parsed file: what it assigns, which sections it opens, and every syntax error in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ini {
    /// Assignments in file order; a repeated key appears once per line that sets it.
    pub assignments: Vec<Assignment>,
    /// Section headers in file order with their line numbers, as written (not lower-cased).
    pub sections: Vec<(String, u32)>,
    /// Syntax errors in file order; the lines concerned are left out of `assignments`.
    pub errors: Vec<ParseError>,
}

/// `key = value` under a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The section as written.
    pub section: String,
    /// The key as written, without surrounding white space.
    pub key: String,
    /// The value: continuation lines joined by `\n`, outer quotes of the first line removed.
    pub value: String,
    /// Line of the key, from 1.
    pub line: u32,
}

/// A line that is not in the language. The line's text is left out on purpose: it may hold a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// Line number, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub kind: ParseErrorKind,
}

/// The ways in which a line can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// Neither `=` nor `:` in the line.
    #[error("expected `key = value`, a `[section]`, or a comment")]
    NoAssignment,
    /// Nothing before the `=`.
    #[error("no option name before the `=` or `:`")]
    EmptyKey,
    /// An indented line that follows no assignment.
    #[error("indented line continues nothing (it must directly follow the option it belongs to)")]
    UnexpectedContinuation,
    /// `[section` without `]` at the end of the line.
    #[error("section header does not end with `]`")]
    UnclosedSection,
    /// `[]`.
    #[error("section header has no name")]
    EmptySection,
    /// An assignment before the first section header.
    #[error("option stands before the first `[section]`")]
    NoSection,
}

impl Ini {
    /// Parses a whole file. Lines end with `\n`, `\r\n` or `\r`. Never fails: see [`Ini::errors`].
    pub fn parse(text: &str) -> Self {
        let mut parser = Parser::default();
        for (index, line) in lines(text).enumerate() {
            // A file of four thousand million lines would not fit into memory as text.
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            parser.line(number, python::strip_end(line));
        }
        parser.flush();
        parser.ini
    }
}

#[derive(Default)]
struct Parser {
    ini: Ini,
    section: Option<String>,
    pending: Option<Pending>,
    /// After an erroneous assignment its continuation lines are part of the same mistake.
    skip_continuation: bool,
}

struct Pending {
    key: String,
    value: String,
    line: u32,
}

impl Parser {
    fn line(&mut self, number: u32, line: &str) {
        if line.starts_with([' ', '\t']) {
            match &mut self.pending {
                Some(pending) => {
                    pending.value.push('\n');
                    pending.value.push_str(python::strip_start(line));
                }
                None if self.skip_continuation => {}
                None => self.error(number, ParseErrorKind::UnexpectedContinuation),
            }
            return;
        }
        self.flush();
        self.skip_continuation = false;
        if line.is_empty() || line.starts_with(['#', ';']) {
            return;
        }
        if line.starts_with('[') {
            self.header(number, line);
        } else {
            self.assignment(number, line);
        }
    }

    fn header(&mut self, number: u32, line: &str) {
        let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            return self.error(number, ParseErrorKind::UnclosedSection);
        };
        if name.is_empty() {
            return self.error(number, ParseErrorKind::EmptySection);
        }
        self.ini.sections.push((name.to_owned(), number));
        self.section = Some(name.to_owned());
    }

    fn assignment(&mut self, number: u32, line: &str) {
        let Some((key, value)) = line.split_once(['=', ':']) else {
            self.skip_continuation = true;
            return self.error(number, ParseErrorKind::NoAssignment);
        };
        let key = python::strip(key);
        if key.is_empty() {
            self.skip_continuation = true;
            return self.error(number, ParseErrorKind::EmptyKey);
        }
        self.pending =
            Some(Pending { key: key.to_owned(), value: unquote(python::strip(value)).to_owned(), line: number });
    }

    fn flush(&mut self) {
        let Some(Pending { key, value, line }) = self.pending.take() else {
            return;
        };
        match &self.section {
            Some(section) => self.ini.assignments.push(Assignment { section: section.clone(), key, value, line }),
            None => self.error(line, ParseErrorKind::NoSection),
        }
    }

    fn error(&mut self, line: u32, kind: ParseErrorKind) {
        self.ini.errors.push(ParseError { line, kind });
    }
}

/// Removes one pair of outer quotes; a lone quote character is a pair with itself, as in oslo.config.
fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inner) => inner,
                None if rest.is_empty() => "",
                None => value,
            };
        }
    }
    value
}

/// Splits at `\n`, `\r\n` and `\r`, as Python reads text files.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[end..];
        let newline = if after.starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&after[newline..]);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<(String, String, String)> {
        let ini = Ini::parse(text);
        assert_eq!(ini.errors, [], "in {text:?}");
        let tuple = |a: Assignment| (a.section, a.key, a.value);
        ini.assignments.into_iter().map(tuple).collect()
    }

    fn one(line: &str) -> String {
        values(&format!("[s]\n{line}\n")).remove(0).2
    }

    fn error(text: &str) -> (u32, ParseErrorKind) {
        let errors = Ini::parse(text).errors;
        assert_eq!(errors.len(), 1, "in {text:?}: {errors:?}");
        (errors[0].line, errors[0].kind)
    }

    #[test]
    fn first_of_colon_and_equals_separates() {
        assert_eq!(one("a = b:c"), "b:c");
        assert_eq!(one("a: b=c"), "b=c");
        assert_eq!(one("a="), "");
    }

    #[test]
    fn outer_quotes_are_removed_once() {
        assert_eq!(one("a = \" b \""), " b ");
        assert_eq!(one("a = ''b''"), "'b'");
        assert_eq!(one("a = \"b'"), "\"b'");
        assert_eq!(one("a = \""), "");
        assert_eq!(one("a = b\""), "b\"");
    }

    #[test]
    fn indented_lines_continue_a_value() {
        assert_eq!(one("a = 1\n  2\n\t# 3"), "1\n2\n# 3");
        assert_eq!(one("a =\n  1"), "\n1");
    }

    #[test]
    fn blank_line_and_comment_end_a_value() {
        assert_eq!(error("[s]\na=1\n\n 2").1, ParseErrorKind::UnexpectedContinuation);
        assert_eq!(error("[s]\na=1\n#c\n 2").1, ParseErrorKind::UnexpectedContinuation);
    }

    #[test]
    fn comments_start_at_the_first_column_only() {
        assert_eq!(values("# a=1\n; a=1\n[s]\na = 1 # not a comment\n")[0].2, "1 # not a comment");
    }

    #[test]
    fn every_line_ending_counts_as_one_line() {
        let ini = Ini::parse("[s]\r\na=1\rb=2\nc=3");
        let lines: Vec<_> = ini.assignments.iter().map(|a| (a.key.as_str(), a.line)).collect();
        assert_eq!(lines, [("a", 2), ("b", 3), ("c", 4)]);
    }

    #[test]
    fn each_kind_of_bad_line_is_named_with_its_number() {
        assert_eq!(error("[s]\nnonsense"), (2, ParseErrorKind::NoAssignment));
        assert_eq!(error("[s]\n= 1"), (2, ParseErrorKind::EmptyKey));
        assert_eq!(error("[s] # why"), (1, ParseErrorKind::UnclosedSection));
        assert_eq!(error("[]"), (1, ParseErrorKind::EmptySection));
        assert_eq!(error("\na = 1"), (2, ParseErrorKind::NoSection));
    }

    #[test]
    fn all_errors_are_found_and_the_good_lines_kept() {
        let ini = Ini::parse("x=1\n[s]\nbad\n  more bad\na=1\n[t\nb=2");
        assert_eq!(ini.errors.len(), 3);
        assert_eq!(ini.assignments.len(), 2);
    }

    #[test]
    fn section_names_keep_their_spaces_and_case() {
        assert_eq!(Ini::parse("[ S ]").sections, [(" S ".to_owned(), 1)]);
    }

    proptest::proptest! {
        #[test]
        fn parser_never_panics(text in "\\PC*|[\\[\\]=:#; \t\r\n\"'a]*") {
            Ini::parse(&text);
        }

        #[test]
        fn what_is_written_is_read_back(
            entries in proptest::collection::vec(
                ("[A-Za-z][A-Za-z0-9_]{0,8}", "[a-z_-]{1,8}", "[!#-&(-~]([ -~]{0,20}[!#-&(-~])?"), 0..8)
        ) {
            let mut text = String::new();
            for (section, key, value) in &entries {
                text.extend(["[", section, "]\n", key, " = ", value, "\n"]);
            }
            let expected: Vec<_> = entries.into_iter().collect();
            proptest::prop_assert_eq!(values(&text), expected);
        }
    }
}
