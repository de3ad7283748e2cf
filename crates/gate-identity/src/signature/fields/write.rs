//! Structured fields in their one spelling (RFC 9651 section 4.1).

use super::{Bare, Item, Member, Parameters};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// Appends a bare item.
pub fn write_bare(out: &mut String, value: &Bare) {
    // Writing to a String cannot fail.
    match value {
        Bare::Integer(number) => drop(write!(out, "{number}")),
        Bare::Decimal(thousandths) => {
            let sign = if *thousandths < 0 { "-" } else { "" };
            let size = thousandths.unsigned_abs();
            let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
            let text = text.trim_end_matches('0');
            out.push_str(text);
            if text.ends_with('.') {
                out.push('0');
            }
        }
        Bare::String(text) => {
            out.push('"');
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    out.push('\\');
                }
                out.push(character);
            }
            out.push('"');
        }
        Bare::Token(text) => out.push_str(text),
        Bare::Bytes(bytes) => {
            out.push(':');
            STANDARD.encode_string(bytes, out);
            out.push(':');
        }
        Bare::Boolean(value) => out.push_str(if *value { "?1" } else { "?0" }),
        Bare::Date(seconds) => drop(write!(out, "@{seconds}")),
    }
}

/// Appends parameters.
pub fn write_parameters(out: &mut String, parameters: &Parameters) {
    for (name, value) in parameters {
        out.push(';');
        out.push_str(name);
        if *value != Bare::Boolean(true) {
            out.push('=');
            write_bare(out, value);
        }
    }
}

/// Appends an item.
pub fn write_item(out: &mut String, item: &Item) {
    write_bare(out, &item.value);
    write_parameters(out, &item.parameters);
}

/// Appends an inner list.
pub fn write_inner(out: &mut String, items: &[Item], parameters: &Parameters) {
    out.push('(');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(' ');
        }
        write_item(out, item);
    }
    out.push(')');
    write_parameters(out, parameters);
}

/// Appends a member of a list.
pub fn write_member(out: &mut String, member: &Member) {
    match member {
        Member::Item(item) => write_item(out, item),
        Member::Inner(items, parameters) => write_inner(out, items, parameters),
    }
}

/// A list in its one spelling.
#[must_use]
pub fn list_text(members: &[Member]) -> String {
    let mut out = String::new();
    for (place, member) in members.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        write_member(&mut out, member);
    }
    out
}

/// A dictionary in its one spelling.
#[must_use]
pub fn dictionary_text(members: &[(String, Member)]) -> String {
    let mut out = String::new();
    for (place, (name, member)) in members.iter().enumerate() {
        if place > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        match member {
            Member::Item(item) if item.value == Bare::Boolean(true) => {
                write_parameters(&mut out, &item.parameters);
            }
            member => {
                out.push('=');
                write_member(&mut out, member);
            }
        }
    }
    out
}
