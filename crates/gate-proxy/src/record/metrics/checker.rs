//! A strict reader of OpenMetrics text, for tests only, written from the standard's ABNF and rules
//! and not from our writer: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::collections::{BTreeMap, BTreeSet};

/// Series (name with sorted labels) and their values.
pub(in crate::record) type Samples = BTreeMap<String, f64>;

#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    unit: String,
    help: bool,
    samples: bool,
}

/// Reads a page, or says what is wrong with it.
pub(in crate::record) fn check(text: &str) -> Result<Samples, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("no # EOF at the end")?;
    if body.contains("# EOF") || !body.ends_with('\n') {
        return Err("# EOF must stand alone, once".into());
    }
    let mut seen = BTreeSet::new();
    let mut samples = Samples::new();
    let mut family = Family::default();
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            describe(rest, &mut family, &mut seen)?;
        } else {
            family.samples = true;
            sample(line, &family, &mut samples, &mut buckets)?;
        }
    }
    for (series, bounds) in &buckets {
        let ordered = bounds.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let count = samples.get(&series.replace("_bucket", "_count"));
        let sum = samples.get(&series.replace("_bucket", "_sum"));
        let last = bounds
            .last()
            .filter(|(bound, _)| bound.is_infinite())
            .map(|(_, n)| n);
        if !ordered || last.is_none() || last != count || sum.is_none() {
            return Err(format!(
                "histogram {series} is inconsistent: {bounds:?} {count:?}"
            ));
        }
    }
    Ok(samples)
}

fn describe(rest: &str, family: &mut Family, seen: &mut BTreeSet<String>) -> Result<(), String> {
    let mut words = rest.splitn(3, ' ');
    let (Some(word), Some(name), Some(value)) = (words.next(), words.next(), words.next()) else {
        return Err(format!("bad descriptor: {rest}"));
    };
    if family.name != name {
        if !is_name(name) || !seen.insert(name.to_owned()) {
            return Err(format!("family {name} is misnamed or not in one piece"));
        }
        *family = Family {
            name: name.to_owned(),
            ..Family::default()
        };
    }
    if family.samples {
        return Err(format!("{name}: descriptor after samples"));
    }
    let repeated = match word {
        "HELP" => std::mem::replace(&mut family.help, true),
        "TYPE" if ["counter", "gauge", "info", "histogram"].contains(&value) => {
            !std::mem::replace(&mut family.kind, value.to_owned()).is_empty()
        }
        "UNIT" if name.ends_with(&format!("_{value}")) => {
            !std::mem::replace(&mut family.unit, value.to_owned()).is_empty()
        }
        _ => return Err(format!("bad descriptor: {rest}")),
    };
    if repeated {
        Err(format!("{word} of {name} is repeated"))
    } else {
        Ok(())
    }
}

fn sample(
    line: &str,
    family: &Family,
    samples: &mut Samples,
    buckets: &mut BTreeMap<String, Vec<(f64, f64)>>,
) -> Result<(), String> {
    let name_end = line
        .find(['{', ' '])
        .ok_or_else(|| format!("no value: {line}"))?;
    let (name, rest) = line.split_at(name_end);
    let (mut labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest).ok_or_else(|| format!("bad labels: {line}"))?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest
        .strip_prefix(' ')
        .ok_or_else(|| format!("no space: {line}"))?;
    let value: f64 = value.parse().map_err(|_| format!("bad value: {line}"))?;
    let suffix = name.strip_prefix(family.name.as_str()).unwrap_or("no");
    let fits = match family.kind.as_str() {
        "counter" => suffix == "_total" && value >= 0.0,
        "gauge" => suffix.is_empty(),
        "info" => suffix == "_info" && value == 1.0,
        "histogram" => ["_bucket", "_count", "_sum"].contains(&suffix),
        _ => false,
    };
    if !fits || !family.help || labels.contains_key("le") != (suffix == "_bucket") {
        return Err(format!(
            "{line} does not fit family {} ({})",
            family.name, family.kind
        ));
    }
    let bound = labels.remove("le");
    let shown: Vec<_> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let series = format!("{name}{{{}}}", shown.join(","));
    match bound {
        Some(bound) => {
            if bound != "+Inf" && !bound.contains(['.', 'e']) {
                return Err(format!("{line}: the bound is not a canonical float"));
            }
            let bound = bound.parse().map_err(|_| format!("bad bound: {line}"))?;
            buckets.entry(series).or_default().push((bound, value));
        }
        None if samples.insert(series, value).is_some() => {
            return Err(format!("{line} is repeated"));
        }
        None => {}
    }
    Ok(())
}

fn read_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        let (name, tail) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = tail.char_indices();
        let end = loop {
            match characters.next()? {
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    _ => return None,
                },
                (position, '"') => break position,
                (_, other) => value.push(other),
            }
        };
        if !is_name(name) || name.contains(':') || labels.insert(name.into(), value).is_some() {
            return None;
        }
        rest = &tail[end + 1..];
        match rest.as_bytes().first()? {
            b',' => rest = &rest[1..],
            b'}' => return Some((labels, &rest[1..])),
            _ => return None,
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

#[test]
fn the_checker_refuses_what_the_standard_refuses() {
    let head = "# HELP a A.\n# TYPE a counter\n";
    assert!(check(&format!("{head}a_total{{x=\"1\\\"\"}} 1\n# EOF\n")).is_ok());
    for bad in [
        "a_total 1\n# EOF\n",
        &format!("{head}a_total 1\n"),
        &format!("{head}a 1\n# EOF\n"),
        &format!("{head}a_total -1\n# EOF\n"),
        &format!("{head}a_total 1\na_total 2\n# EOF\n"),
        &format!("{head}a_total{{1x=\"\"}} 1\n# EOF\n"),
        &format!("{head}a_total{{x=\"\\d\"}} 1\n# EOF\n"),
        &format!("{head}a_total 1\n# HELP b B.\n# TYPE b gauge\n{head}# EOF\n"),
        "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\nh_count 1\nh_sum 1\n# EOF\n",
    ] {
        assert!(check(bad).is_err(), "{bad}");
    }
}
