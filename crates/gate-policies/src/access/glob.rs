//! Patterns in which `*` stands for any text, matched in linear time.
//!
//! Enough for paths and headers, and nothing that a caller sends can make it slow: the text between
//! two stars is searched once, from left to right.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// What stands before the first star; the whole text where there is none.
    first: Box<[u8]>,
    /// What stands between stars, in order.
    middle: Vec<Box<[u8]>>,
    /// What stands behind the last star; none without a star.
    last: Option<Box<[u8]>>,
    ignores_case: bool,
}

impl Glob {
    /// A pattern; `ignores_case` folds ASCII letters.
    pub(super) fn new(pattern: &str, ignores_case: bool) -> Self {
        let pattern = match ignores_case {
            true => pattern.to_ascii_lowercase(),
            false => pattern.to_owned(),
        };
        let mut parts: Vec<Box<[u8]>> = pattern.split('*').map(|p| p.as_bytes().into()).collect();
        let last = (parts.len() > 1).then(|| parts.pop()).flatten();
        let mut parts = parts.into_iter();
        Self {
            first: parts.next().unwrap_or_default(),
            middle: parts.filter(|part| !part.is_empty()).collect(),
            last,
            ignores_case,
        }
    }

    /// Whether the whole text fits.
    pub(super) fn fits(&self, text: &[u8]) -> bool {
        let same = |one: &[u8], part: &[u8]| match self.ignores_case {
            true => one.eq_ignore_ascii_case(part),
            false => one == part,
        };
        let Some(last) = &self.last else {
            return same(text, &self.first);
        };
        let Some((start, mut rest)) = text.split_at_checked(self.first.len()) else {
            return false;
        };
        if !same(start, &self.first) {
            return false;
        }
        for part in &self.middle {
            let found = rest
                .windows(part.len())
                .position(|window| same(window, part));
            let Some(at) = found else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        let end = rest.len().checked_sub(last.len());
        end.is_some_and(|end| same(&rest[end..], last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, fits: &[&str], others: &[&str]) {
        let glob = Glob::new(pattern, false);
        for text in fits {
            assert!(glob.fits(text.as_bytes()), "{pattern} fits {text}");
        }
        for text in others {
            assert!(!glob.fits(text.as_bytes()), "{pattern} does not fit {text}");
        }
    }

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        check(
            "/admin",
            &["/admin"],
            &["/admin/", "/Admin", "", "/a/admin"],
        );
        check(
            "/admin/*",
            &["/admin/", "/admin/a/b"],
            &["/admin", "/x/admin/"],
        );
        check("*.php", &[".php", "/a/b.php"], &["/a.php5", "php"]);
        check("*", &["", "/"], &[]);
        check("a*b*c", &["abc", "a--b--b--c"], &["ac", "acb", "ab"]);
        check("a**b", &["ab", "a-b"], &["a"]);
        check("aa*aa", &["aaaa", "aa-aa"], &["aaa"]);
    }

    #[test]
    fn case_is_ignored_where_it_means_nothing() {
        let glob = Glob::new("*SqlMap*", true);
        assert!(glob.fits(b"sqlmap/1.8") && glob.fits(b"x SQLMAP"));
        assert!(!glob.fits(b"sql map"));
    }
}
