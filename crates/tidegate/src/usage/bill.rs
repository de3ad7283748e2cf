//! The ledger against a provider's bill: sums by day and model, side by side.

use super::options::ReconcileOptions;
use super::{day, lines, ms, now_s, open};
use crate::output;
use crate::table::Table;
use gate_kit::order::Order;
use gate_model::units::{Money, Timestamp};
use gate_store::ledger::{UsageBy, UsageQuery};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Compares the ledger with a provider's bill, by day and model.
pub(super) fn reconcile(options: &ReconcileOptions) -> Result<ExitCode, String> {
    let (_, mut store) = open(&options.file)?;
    for exchange in &options.release {
        let known = store
            .release(exchange, ms(now_s()))
            .map_err(|error| error.to_string())?;
        let word = if known {
            "taken back"
        } else {
            "not an unsettled charge"
        };
        output::tell(&format!("{exchange}: {word}"));
    }
    let Some(bill) = &options.bill else {
        return Ok(ExitCode::SUCCESS);
    };
    let text =
        std::fs::read_to_string(bill).map_err(|error| format!("{}: {error}", bill.display()))?;
    let billed =
        read_bill(&text, options).map_err(|error| format!("{}: {error}", bill.display()))?;
    let query = UsageQuery {
        by: vec![UsageBy::Day, UsageBy::ProviderModel],
        since_ms: 0,
        until_ms: i64::MAX,
        provider: options.provider.clone(),
        only: Vec::new(),
    };
    let rows = store.usage(&query).map_err(|error| error.to_string())?;
    let mut ledger: BTreeMap<(String, String), Money> = BTreeMap::new();
    for row in rows {
        let [at, model] = &row.names[..] else {
            continue;
        };
        let (_, model) = model.split_once('/').unwrap_or(("", model));
        let cost = Money::from_picodollars(row.cost_picodollars);
        let key = (day(at.parse().unwrap_or(0)), model.to_owned());
        let sum = ledger.entry(key).or_default();
        *sum = *sum + cost;
    }
    let days: Vec<&String> = billed.keys().map(|(day, _)| day).collect();
    let (first, last) = (days.iter().min(), days.iter().max());
    ledger.retain(|(day, _), _| {
        first.is_some_and(|first| day >= *first) && last.is_some_and(|last| day <= *last)
    });
    let (text, equal) = compare(&ledger, &billed, options);
    output::print(&text)?;
    Ok(if equal {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

type Sums = BTreeMap<(String, String), Money>;

fn compare(ledger: &Sums, billed: &Sums, options: &ReconcileOptions) -> (String, bool) {
    let mut keys: Vec<_> = ledger.keys().chain(billed.keys()).collect();
    keys.order();
    keys.dedup();
    let mut table = Table::new(&["day", "model"]);
    table.head(&["ledger (USD)", "bill (USD)", "difference"]);
    let (mut equal, mut values) = (true, Vec::new());
    for (day, model) in keys {
        let key = (day.clone(), model.clone());
        let of = |sums: &Sums| sums.get(&key).copied().unwrap_or_default();
        let (ours, theirs) = (of(ledger), of(billed));
        let apart = theirs - ours;
        let same = apart.picodollars().abs() <= options.tolerance.picodollars();
        equal &= same;
        if options.json {
            values.push(json!({
                "day": day, "model": model, "ledger_usd": ours.to_string(),
                "bill_usd": theirs.to_string(), "difference_usd": apart.to_string(), "equal": same,
            }));
        }
        let shown = if same {
            String::new()
        } else {
            apart.to_string()
        };
        table.row(vec![
            day.clone(),
            model.clone(),
            ours.to_string(),
            theirs.to_string(),
            shown,
        ]);
    }
    let text = if options.json {
        lines(values.into_iter())
    } else {
        table.finish()
    };
    (text, equal)
}

/// Sums of a bill by day and model.
fn read_bill(text: &str, options: &ReconcileOptions) -> Result<Sums, String> {
    let mut rows = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(fields);
    let head = rows.next().ok_or("the bill is empty")?;
    let column = |name: &str| {
        let found = head
            .iter()
            .position(|field| field.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("no column `{name}`, only {}", head.join(", ")))
    };
    let at = [
        &options.day_column,
        &options.model_column,
        &options.cost_column,
    ];
    let [day_at, model_at, cost_at] = at.map(|name| column(name));
    let (day_at, model_at, cost_at) = (day_at?, model_at?, cost_at?);
    let mut sums = Sums::new();
    for (number, row) in rows.enumerate() {
        let line = number + 2;
        let field = |at: usize| row.get(at).map_or("", |field| field.trim());
        let day = field(day_at)
            .get(..10)
            .and_then(|day| day.parse::<Timestamp>().ok());
        let day =
            day.ok_or_else(|| format!("line {line}: `{}` begins with no day", field(day_at)))?;
        let cost = Money::from_decimal(field(cost_at).trim_start_matches('$'));
        let cost = cost.ok_or_else(|| format!("line {line}: `{}` is no amount", field(cost_at)))?;
        let sum = sums
            .entry((day.to_string(), field(model_at).to_owned()))
            .or_default();
        *sum = *sum + cost;
    }
    Ok(sums)
}

/// The fields of a line of CSV (RFC 4180); a quoted field stays on its line.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bills_are_read_whatever_their_columns_are_called() {
        let options = ReconcileOptions {
            day_column: "Date".into(),
            model_column: "SKU".into(),
            cost_column: "Amount".into(),
            ..ReconcileOptions::default()
        };
        let text = "amount,date,sku\n$1.5,2026-11-01T10:00:00Z,\"a,\"\"b\"\"\"\n0.25,2026-11-01,\"a,\"\"b\"\"\"\n";
        let sums = read_bill(text, &options).unwrap();
        let key = ("2026-11-01".to_owned(), "a,\"b\"".to_owned());
        assert_eq!(sums.get(&key).unwrap().to_string(), "1.75");
        for (wrong, why) in [
            ("", "empty"),
            ("a,b\n", "no column"),
            ("amount,date,sku\n1,soon,m\n", "line 2"),
            ("amount,date,sku\nfree,2026-11-01,m\n", "no amount"),
        ] {
            assert!(
                read_bill(wrong, &options).unwrap_err().contains(why),
                "{wrong}"
            );
        }
    }

    #[test]
    fn differences_beyond_the_tolerance_are_shown() {
        let sums = |amount: &str| {
            let key = ("2026-11-01".to_owned(), "m".to_owned());
            Sums::from([(key, amount.parse().unwrap())])
        };
        let options = ReconcileOptions {
            tolerance: "0.01".parse().unwrap(),
            ..ReconcileOptions::default()
        };
        let (text, equal) = compare(&sums("1.00"), &sums("1.01"), &options);
        assert!(equal && text.lines().count() == 2, "{text}");
        let (text, equal) = compare(&sums("1.00"), &sums("0.5"), &options);
        assert!(!equal && text.contains("-0.5"), "{text}");
    }
}
