//! E-mails: the event's attributes and its data, as text.

use super::{Failure, Letter, Means};
use crate::notices::smtp::{Mail, send as send_mail};
use gate_kit::clock::Clock;
use gate_model::resources::MailTarget;
use gate_ops::event::cloud::Data;
use gate_ops::event::delivery::Template;
use std::fmt::Write;

/// Most bytes of data in a mail.
const DATA_BYTES_MAX: usize = 256 << 10;

pub(super) fn send(means: &Means, letter: &Letter<'_>, target: &MailTarget) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let password = means.optional(parcel, target.mail.password.as_ref())?;
    let subject = Template::read(&target.subject).map_err(Failure::Never)?;
    let json = parcel.loaded.json.as_ref().ok_or("it was destroyed")?;
    let subject: String = subject.text(json).replace(char::is_control, " ");
    let mut text = format!("{subject}\n\n");
    for (name, value) in letter.event.attributes() {
        let _ = writeln!(text, "{name}: {}", value.text());
    }
    let data = match &letter.event.data {
        Data::None => String::new(),
        Data::Json(json) => serde_json::from_str::<serde_json::Value>(json)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_else(|_| json.to_string()),
        Data::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let shown = &data[..data.floor_char_boundary(DATA_BYTES_MAX)];
    let _ = write!(text, "\n{shown}\n");
    let authorities = means.file(target.mail.authorities.as_ref());
    let sent = send_mail(&Mail {
        receiver: &target.mail,
        password: password.as_deref(),
        authorities: authorities.as_deref(),
        text: &text,
        key: &parcel.key,
        thread: &parcel.id.subscriber,
        now: Clock::System.unix(),
        term: parcel.term.clone(),
    });
    sent.map_err(Failure::from)
}
