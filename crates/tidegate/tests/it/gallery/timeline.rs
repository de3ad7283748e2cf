//! The picture of a run: what the lake has of its requests and the journal of its events, drawn in time.

use std::fmt::Write;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) route: String,
    pub(super) method: String,
    /// The job and the item that it was, where it was one.
    pub(super) item: Option<(String, u32)>,
    pub(super) status: u64,
    pub(super) from_us: i64,
    pub(super) until_us: i64,
}

/// An event.
#[derive(Debug, Clone)]
pub(super) struct Dot {
    pub(super) place: u64,
    pub(super) label: String,
    pub(super) at_us: i64,
}

/// A band of the picture: the requests of a route, or the journal.
struct Band {
    title: &'static str,
    about: &'static str,
    routes: &'static [&'static str],
}

const BANDS: [Band; 4] = [
    Band {
        title: "curl",
        about: "uploads, publishes, looks",
        routes: &["uploads", "events", "gallery"],
    },
    Band {
        title: "validate",
        about: "a check of each part",
        routes: &["checks"],
    },
    Band {
        title: "caption",
        about: "each part through the model",
        routes: &["captions"],
    },
    Band {
        title: "publish",
        about: "the gallery's page",
        routes: &["publish"],
    },
];

const WIDTH: f64 = 960.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 84.0;
const ROW: f64 = 18.0;
const GAP: f64 = 22.0;
const COLOURS: [&str; 4] = ["#64748b", "#0d9488", "#7c3aed", "#c2410c"];

/// Where times are in the picture.
struct Scale {
    from_us: i64,
    us_per_pixel: f64,
}

impl Scale {
    #[expect(clippy::cast_precision_loss, reason = "a picture is not that wide")]
    fn x(&self, at_us: i64) -> f64 {
        LEFT + (at_us - self.from_us) as f64 / self.us_per_pixel
    }
}

/// Draws a run.
pub(super) fn draw(spans: &[Span], dots: &[Dot]) -> String {
    let from_us = spans.iter().map(|one| one.from_us).min().unwrap_or(0);
    let until_us = spans.iter().map(|one| one.until_us).max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, reason = "a picture is not that wide")]
    let us_per_pixel = (until_us - from_us).max(1) as f64 / (WIDTH - LEFT - RIGHT - 70.0);
    let scale = Scale {
        from_us,
        us_per_pixel,
    };
    let mut body = String::new();
    let journal = TOP - 14.0;
    let mut y = TOP + GAP;
    let mut bands = Vec::new();
    for (band, colour) in BANDS.iter().zip(COLOURS) {
        let mine: Vec<&Span> = spans
            .iter()
            .filter(|span| band.routes.contains(&&*span.route))
            .collect();
        let rows = rows(&mine, &scale);
        let _ = writeln!(
            body,
            "<text class=\"title\" x=\"12\" y=\"{:.0}\">{}</text>\
             <text class=\"about\" x=\"12\" y=\"{:.0}\">{}</text>",
            y + 12.0,
            band.title,
            y + 26.0,
            band.about
        );
        for (span, row) in mine.iter().zip(&rows) {
            bar(&mut body, span, y + ROW * *row as f64, colour, &scale);
        }
        let count = rows.iter().max().map_or(1, |last| last + 1).max(2);
        // What an event tells of: the request that ended last, and of curl's the one that published it.
        let told = |span: &&&Span| band.title != "curl" || span.route == "events";
        let ended = mine.iter().zip(&rows).filter(|(span, _)| told(span));
        let ended = ended.max_by_key(|(span, _)| span.until_us);
        bands.push(Ends {
            top: y,
            begin: mine.first().map(|span| scale.x(span.from_us)),
            end: ended.map(|(span, row)| (scale.x(span.until_us), y + ROW * *row as f64)),
        });
        y += ROW * count as f64 + GAP;
    }
    arrows(&mut body, &bands, dots, journal, &scale);
    points(&mut body, dots, journal, &scale);
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {:.0}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\" role=\"img\">\n\
         <title>From an upload to a gallery, as records and the journal have it</title>\n\
         <style>.title{{font-weight:600;font-size:13px}}.about,.tick{{fill:#64748b}}\
         .arrow{{fill:none;stroke:#94a3b8;stroke-width:1.2}}\
         .told{{stroke-dasharray:3 3}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        y + 16.0
    );
    ticks(&mut picture, &scale, until_us, y);
    picture.push_str(&body);
    picture.push_str("</svg>\n");
    picture
}

/// A row for each request, so that none covers another or its label; what comes later takes a row again.
fn rows(spans: &[&Span], scale: &Scale) -> Vec<usize> {
    let mut ends: Vec<f64> = Vec::new();
    let mut rows = Vec::new();
    for span in spans {
        let begin = scale.x(span.from_us);
        let row = ends.iter().position(|end| *end <= begin);
        let row = row.unwrap_or_else(|| {
            ends.push(0.0);
            ends.len() - 1
        });
        ends[row] = scale.x(span.until_us) + 8.0 + 6.0 * label(span).len() as f64;
        rows.push(row);
    }
    rows
}

/// What stands beside a request.
fn label(span: &Span) -> String {
    let took = (span.until_us - span.from_us).max(0);
    let took = format!("{}.{} ms", took / 1_000, took % 1_000 / 100);
    match &span.item {
        Some((_, item)) => format!("item {item}, {took}"),
        None => format!("{}, {took}", span.method),
    }
}

fn bar(out: &mut String, span: &Span, y: f64, colour: &str, scale: &Scale) {
    let (from, until) = (scale.x(span.from_us), scale.x(span.until_us));
    let width = (until - from).max(3.0);
    let what = match &span.item {
        Some((_, item)) => format!("{} item {item}: {}", span.route, span.status),
        None => format!("{} {}: {}", span.route, span.method, span.status),
    };
    let _ = writeln!(
        out,
        "<rect class=\"bar\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"12\" rx=\"2\" \
         fill=\"{colour}\"><title>{what}</title></rect>\
         <text class=\"about\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        from + width + 4.0,
        y + 10.0,
        label(span)
    );
}

/// Where a band's requests begin and end.
struct Ends {
    top: f64,
    begin: Option<f64>,
    end: Option<(f64, f64)>,
}

/// From what an event tells of up to the event, and from there to the band that it starts.
fn arrows(out: &mut String, bands: &[Ends], dots: &[Dot], journal: f64, scale: &Scale) {
    for (index, dot) in dots.iter().enumerate() {
        let (at, under) = (scale.x(dot.at_us), journal + 5.0);
        if let Some((x, y)) = bands.get(index).and_then(|band| band.end) {
            let bend = under + 24.0;
            let _ = writeln!(
                out,
                "<path class=\"arrow told\" d=\"M{x:.1} {y:.1} V{bend:.1} C{x:.1} {under:.1} \
                 {at:.1} {bend:.1} {at:.1} {under:.1}\"/>"
            );
        }
        let next = bands.get(index + 1);
        if let Some((top, begin)) = next.and_then(|band| Some((band.top, band.begin?))) {
            let x = begin + 1.5;
            let _ = writeln!(
                out,
                "<path class=\"arrow\" d=\"M{at:.1} {under:.1} C{at:.1} {:.1} {x:.1} {:.1} {x:.1} {:.1}\"/>\
                 <path fill=\"#94a3b8\" d=\"M{:.1} {:.1} h7 l-3.5 6 z\"/>",
                under + 60.0,
                top - 70.0,
                top - 6.0,
                x - 3.5,
                top - 7.0,
            );
        }
    }
}

/// The journal.
fn points(out: &mut String, dots: &[Dot], journal: f64, scale: &Scale) {
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"12\" y=\"{:.0}\">journal</text>\
         <text class=\"about\" x=\"12\" y=\"{:.0}\">events, each with its place</text>\
         <path class=\"arrow\" d=\"M{LEFT} {journal} H{:.0}\"/>",
        journal - 4.0,
        journal + 10.0,
        WIDTH - RIGHT
    );
    for (index, dot) in dots.iter().enumerate() {
        let at = scale.x(dot.at_us);
        let height = journal - 14.0 - 16.0 * (index % 2) as f64;
        let _ = writeln!(
            out,
            "<circle class=\"event\" cx=\"{at:.1}\" cy=\"{journal}\" r=\"5\" fill=\"#b91c1c\">\
             <title>{}</title></circle>\
             <text x=\"{at:.1}\" y=\"{height:.0}\" text-anchor=\"{}\">{} {}</text>",
            dot.label,
            if index == 0 { "start" } else { "middle" },
            dot.place,
            dot.label
        );
    }
}

fn ticks(out: &mut String, scale: &Scale, until_us: i64, bottom: f64) {
    let whole = until_us - scale.from_us;
    let steps = [50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000];
    let step = steps.into_iter().find(|step| whole / step <= 12);
    let step = step.unwrap_or(30_000_000);
    for at in (0..=whole).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let x = scale.x(scale.from_us + at);
        let _ = writeln!(
            out,
            "<path stroke=\"#e2e8f0\" d=\"M{x:.1} {TOP} V{bottom:.0}\"/>\
             <text class=\"tick\" x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}.{} s</text>",
            bottom + 12.0,
            at / 1_000_000,
            at % 1_000_000 / 100_000
        );
    }
}

/// What a picture shows, whenever it happened: the names of its bars and points, sorted.
pub(super) fn shown(picture: &str) -> Vec<String> {
    let mut shown: Vec<String> = picture
        .split("<title>")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("</title>")?.0.to_owned()))
        .collect();
    shown.sort();
    shown
}
