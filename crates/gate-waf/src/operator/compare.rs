//! Comparisons of text and of whole numbers.

/// A comparison; its argument may hold macros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    BeginsWith,
    Contains,
    ContainsWord,
    EndsWith,
    Equal,
    Within,
    NumberEqual,
    NumberAtLeast,
    NumberAbove,
    NumberAtMost,
    NumberBelow,
}

impl Compare {
    /// By the operator's name in lower case.
    pub(super) fn by_name(name: &str) -> Option<Compare> {
        Some(match name {
            "beginswith" => Compare::BeginsWith,
            "contains" | "strmatch" => Compare::Contains,
            "containsword" => Compare::ContainsWord,
            "endswith" => Compare::EndsWith,
            "streq" => Compare::Equal,
            "within" => Compare::Within,
            "eq" => Compare::NumberEqual,
            "ge" => Compare::NumberAtLeast,
            "gt" => Compare::NumberAbove,
            "le" => Compare::NumberAtMost,
            "lt" => Compare::NumberBelow,
            _ => return None,
        })
    }

    pub(crate) fn is_number(self) -> bool {
        use Compare as C;
        matches!(
            self,
            C::NumberEqual | C::NumberAtLeast | C::NumberAbove | C::NumberAtMost | C::NumberBelow
        )
    }

    /// Whether it holds between numbers.
    pub(crate) fn holds_for(self, value: i64, argument: i64) -> bool {
        match self {
            Compare::NumberEqual => value == argument,
            Compare::NumberAtLeast => value >= argument,
            Compare::NumberAbove => value > argument,
            Compare::NumberAtMost => value <= argument,
            Compare::NumberBelow => value < argument,
            _ => false,
        }
    }

    /// Whether it holds.
    pub(super) fn holds(self, value: &[u8], argument: &[u8]) -> bool {
        match self {
            Compare::BeginsWith => value.starts_with(argument),
            Compare::Contains => memchr::memmem::find(value, argument).is_some(),
            Compare::ContainsWord => contains_word(value, argument),
            Compare::EndsWith => value.ends_with(argument),
            Compare::Equal => value == argument,
            Compare::Within => memchr::memmem::find(argument, value).is_some(),
            _ => self.holds_for(number(value), number(argument)),
        }
    }
}

/// The whole number at the beginning, as C's `atoll` reads it; 0 without one.
pub(crate) fn number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let add = |number: i64, digit: &u8| {
        number
            .saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
    };
    let number = digits.fold(0, add);
    if negative { -number } else { number }
}

fn contains_word(value: &[u8], word: &[u8]) -> bool {
    if word.is_empty() {
        return true;
    }
    let is_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    memchr::memmem::find_iter(value, word).any(|at| {
        let before = at.checked_sub(1).and_then(|at| value.get(at));
        !is_word(before) && !is_word(value.get(at + word.len()))
    })
}
