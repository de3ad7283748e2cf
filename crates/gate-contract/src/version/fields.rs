//! Values of Sunset (RFC 8594) and Link (RFC 8288).

use gate_model::resources::VersionLinks;
use gate_model::units::Timestamp;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A time in UNIX seconds as HTTP writes it (RFC 9110 section 5.6.7).
pub(super) fn http_date(unix_s: u64) -> String {
    // `2027-01-31T08:30:00Z`: the calendar is that of timestamps.
    let text = Timestamp::from_unix_s(unix_s).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("00");
    let month: usize = part(5, 7).parse().unwrap_or(1);
    let month = MONTHS.get(month.saturating_sub(1)).unwrap_or(&"Jan");
    let weekday = usize::try_from(unix_s / 86_400 % 7).unwrap_or(0);
    let time = if text.len() > 10 {
        part(11, 19)
    } else {
        "00:00:00"
    };
    format!(
        "{}, {} {month} {} {time} GMT",
        DAYS[weekday],
        part(8, 10),
        part(0, 4)
    )
}

/// The values of Link.
///
/// # Errors
/// The link that cannot stand in a field.
pub(super) fn links(links: &VersionLinks) -> Result<Vec<String>, String> {
    let all = [
        (&links.deprecation, "deprecation", Some("text/html")),
        (&links.sunset, "sunset", Some("text/html")),
        (&links.successor, "successor-version", None),
    ];
    let mut values = Vec::new();
    for (link, relation, kind) in all {
        let Some(link) = link else { continue };
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
        if link.is_empty() || !link.bytes().all(is_plain) {
            return Err(format!("the link `{relation}` is no URL"));
        }
        let kind = kind.map_or_else(String::new, |kind| format!("; type=\"{kind}\""));
        values.push(format!("<{link}>; rel=\"{relation}\"{kind}"));
    }
    Ok(values)
}
