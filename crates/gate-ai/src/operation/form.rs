//! A multipart form as it passes: its field `model` is read and replaced, all else stays.
//!
//! Files stream through; what is held is the end of the last piece that might begin a delimiter,
//! and the heads of parts. A second `model` is refused, because two readers of it need not agree.
//! RFC 7578 on RFC 2046 section 5.1.

use memchr::memmem;
use std::ops::Range;

/// Longest head of a part, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// Longest name of a model, in bytes.
const MODEL_MAX: usize = 1024;

/// Why a form cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A part's head never ends.
    #[error("the head of a part of the form is longer than {HEAD_MAX} bytes")]
    HeadTooLong,
    /// The model's name is too long, or no UTF-8.
    #[error("the form's field `model` is no name of a model")]
    BadModel,
    /// There are two models.
    #[error("the form's field `model` occurs twice; send it once")]
    TwoModels,
}

/// The boundary that a content type names, at most 70 characters (RFC 2046 section 5.1.1).
#[must_use]
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then_some(value)
    })?;
    let value = value.trim().trim_matches('"');
    (!value.is_empty() && value.len() <= 70).then_some(value)
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a part that passes, or before the first.
    Part,
    /// Behind a delimiter: in a part's head, unless the form ends here.
    Head,
    /// In the field `model`.
    Model,
    /// Behind the last delimiter.
    Over,
}

/// One form on its way.
#[derive(Debug)]
pub struct Form {
    delimiter: Vec<u8>,
    state: State,
    /// Bytes that cannot be told apart yet.
    held: Vec<u8>,
    model: Option<String>,
    /// Where the model's name lies among the bytes that came out.
    span: Option<Range<usize>>,
    /// What to write for it.
    replacement: Option<String>,
    written: usize,
    /// Bytes at the front of `held` that are ours and do not go on.
    skip: usize,
}

impl Form {
    /// A form with this boundary.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            state: State::Part,
            // The first delimiter has no line before it.
            held: b"\r\n".to_vec(),
            model: None,
            span: None,
            replacement: None,
            written: 0,
            skip: 2,
        }
    }

    /// The model, once its field has come.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Where the model's name lies among all bytes that came out so far.
    #[must_use]
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// Writes this name for a model that comes from now on.
    pub fn replace_with(&mut self, name: &str) {
        self.replacement = Some(name.to_owned());
    }

    /// Reads the next bytes and appends those that go on to `out`.
    ///
    /// # Errors
    /// [`FormError`]; nothing more is to be passed on.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), FormError> {
        let before = out.len();
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut rest = &held[..];
        while let Some(left) = self.step(rest, before, out)? {
            rest = left;
        }
        let done = held.len() - rest.len();
        held.drain(..done);
        self.held = held;
        self.written += out.len() - before;
        Ok(())
    }

    /// The form has ended: what was still held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.emit(&held, out);
    }

    /// One step over `rest`; what is left of it when there may be another.
    fn step<'r>(
        &mut self,
        rest: &'r [u8],
        before: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'r [u8]>, FormError> {
        match self.state {
            State::Over => Ok(self.pass(rest, rest.len(), out)),
            State::Part => match memmem::find(rest, &self.delimiter) {
                Some(at) => {
                    self.state = State::Head;
                    Ok(self.pass(rest, at + self.delimiter.len(), out))
                }
                // All but what may begin a delimiter.
                None => {
                    let safe = (rest.len() + 1).saturating_sub(self.delimiter.len());
                    Ok(self.pass(rest, safe, out))
                }
            },
            State::Head if rest.starts_with(b"--") => {
                self.state = State::Over;
                Ok(Some(rest))
            }
            State::Head => match memmem::find(rest, b"\r\n\r\n") {
                Some(at) => {
                    self.state = match is_model(&rest[..at]) {
                        true => State::Model,
                        false => State::Part,
                    };
                    // A value may be empty: its delimiter begins with the head's last line end.
                    let end = at + if self.state == State::Model { 4 } else { 2 };
                    Ok(self.pass(rest, end, out))
                }
                None if rest.len() > HEAD_MAX => Err(FormError::HeadTooLong),
                None => Ok(None),
            },
            State::Model => match memmem::find(rest, &self.delimiter) {
                Some(at) => {
                    self.name(&rest[..at], before, out)?;
                    self.state = State::Part;
                    Ok(Some(&rest[at..]))
                }
                None if rest.len() > MODEL_MAX + self.delimiter.len() => Err(FormError::BadModel),
                None => Ok(None),
            },
        }
    }

    /// Takes the model's name in.
    fn name(&mut self, value: &[u8], before: usize, out: &mut Vec<u8>) -> Result<(), FormError> {
        if self.model.is_some() {
            return Err(FormError::TwoModels);
        }
        let name = std::str::from_utf8(value).map_err(|_| FormError::BadModel)?;
        if name.is_empty() || name.len() > MODEL_MAX {
            return Err(FormError::BadModel);
        }
        self.model = Some(name.to_owned());
        let start = self.written + out.len() - before;
        let written = self.replacement.as_deref().unwrap_or(name);
        out.extend_from_slice(written.as_bytes());
        self.span = Some(start..start + written.len());
        Ok(())
    }

    /// Passes `count` bytes on; the others, when there are both.
    fn pass<'r>(&mut self, rest: &'r [u8], count: usize, out: &mut Vec<u8>) -> Option<&'r [u8]> {
        let (passed, left) = rest.split_at(count);
        self.emit(passed, out);
        (count > 0).then_some(left)
    }

    fn emit(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let ours = self.skip.min(bytes.len());
        self.skip -= ours;
        out.extend_from_slice(&bytes[ours..]);
    }
}

/// Whether a part's head is that of the field `model`, which is no file.
fn is_model(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.lines().any(|line| {
        let Some((field, value)) = line.split_once(':') else {
            return false;
        };
        if !field.trim().eq_ignore_ascii_case("content-disposition") {
            return false;
        }
        let mut parameters = value.split(';').skip(1).map(str::trim);
        let named = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("name") && value == "model"
        };
        parameters.any(named)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn part(head: &str, value: &str) -> String {
        format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n")
    }

    fn file() -> String {
        part(
            "name=\"file\"; filename=\"a.wav\"",
            "RIFF\r\n--\r\n--c\0model\r\n\r\n",
        )
    }

    fn passed(form: &str, cuts: &[usize], name: Option<&str>) -> Result<(String, Form), FormError> {
        let (mut reader, mut out) = (Form::new("b"), Vec::new());
        if let Some(name) = name {
            reader.replace_with(name);
        }
        let mut from = 0;
        for &cut in cuts.iter().chain([&form.len()]) {
            reader.push(&form.as_bytes()[from..cut], &mut out)?;
            from = cut;
        }
        reader.finish(&mut out);
        Ok((String::from_utf8(out).unwrap(), reader))
    }

    #[test]
    fn the_model_is_found_and_replaced_at_every_cut() {
        let model = part("name=\"model\"", "whisper-1");
        for form in [
            format!("{model}{}--b--\r\n", file()),
            format!("{}{}{model}--b--\r\n", file(), part("name=\"prompt\"", "")),
            format!("preamble\r\n{model}{}--b--", file()),
        ] {
            for cut in 0..=form.len() {
                let (same, reader) = passed(&form, &[cut], None).unwrap();
                assert_eq!(same, form, "{cut}");
                assert_eq!(reader.model(), Some("whisper-1"));
                assert_eq!(&same[reader.span().unwrap()], "whisper-1");
                let (other, reader) = passed(&form, &[cut], Some("x")).unwrap();
                assert_eq!(other, form.replace("whisper-1", "x"), "{cut}");
                assert_eq!(&other[reader.span().unwrap()], "x");
            }
            let every: Vec<_> = (0..form.len()).collect();
            assert_eq!(passed(&form, &every, None).unwrap().0, form);
        }
    }

    #[test]
    fn what_decides_anything_may_come_once() {
        let model = |head: &str| part(head, "a");
        for head in ["name=model", "NAME=\"model\"", "name=\"x\"; name=\"model\""] {
            let twice = format!("{}{}--b--", model("name=\"model\""), model(head));
            let refused = passed(&twice, &[], None).map(|passed| passed.0);
            assert_eq!(refused, Err(FormError::TwoModels), "{head}");
        }
        let long = format!("--b\r\nX: {}", "y".repeat(HEAD_MAX));
        assert_eq!(passed(&long, &[], None).err(), Some(FormError::HeadTooLong));
        let long = part("name=\"model\"", &"y".repeat(2 * MODEL_MAX));
        assert_eq!(passed(&long, &[], None).err(), Some(FormError::BadModel));
        let empty = format!("{}--b--", part("name=\"model\"", ""));
        assert_eq!(passed(&empty, &[], None).err(), Some(FormError::BadModel));
        let none = format!("{}--b--", file());
        assert_eq!(passed(&none, &[], None).unwrap().1.model(), None);
    }

    #[test]
    fn boundaries_are_read() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(
            boundary("Multipart/Form-Data; a=b; Boundary=\"x y\""),
            Some("x y")
        );
        for wrong in [
            "application/json",
            "multipart/form-data",
            "multipart/form-data; boundary=",
        ] {
            assert_eq!(boundary(wrong), None);
        }
    }

    proptest! {
        #[test]
        fn bytes_that_are_no_model_pass_as_they_are(
            bytes in proptest::collection::vec(prop_oneof![Just(b'-'), Just(b'\r'), Just(b'\n'), Just(b'b'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let (mut form, mut out) = (Form::new("b"), Vec::new());
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let read = form.push(a, &mut out).and_then(|()| form.push(b, &mut out));
            prop_assume!(read.is_ok());
            form.finish(&mut out);
            prop_assert_eq!(out, bytes);
        }
    }
}
