//! From a finished exchange to its rows, on the thread that writes.

use super::Row;
use gate_flow::{BodySide, RecordedBody};
use gate_kit::random;
use gate_lake::schema::{self, BODY_BYTES_MAX, BodyRow, Direction, cut};
use std::time::Duration;

/// Makes rows of exchanges of one gateway.
pub(super) struct Converter {
    node: String,
    environment: Option<String>,
    /// Tells ids of this process from those of others.
    salt: u32,
    count: u32,
}

impl Converter {
    pub(super) fn new(node: String, environment: Option<String>) -> Self {
        let node = match cut(&node) {
            "" => "gateway".to_owned(),
            node => node.to_owned(),
        };
        Self {
            node,
            environment,
            salt: random::bits() as u32,
            count: random::bits() as u32,
        }
    }

    /// A new id (RFC 9562, version 7): the time in milliseconds, then what tells this process from
    /// others, then a count. Alike in neighbours, so that it takes few bytes.
    pub(super) fn id(&mut self, row: &Row) -> [u8; 16] {
        self.count = self.count.wrapping_add(1);
        let millis = row.record.started_unix.as_millis() as u64;
        let mut id = [0; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        id[6] = 0x70;
        id[8..12].copy_from_slice(&(self.salt & 0x3fff_ffff | 0x8000_0000).to_be_bytes());
        id[12..].copy_from_slice(&self.count.to_be_bytes());
        id
    }

    /// The row without content.
    pub(super) fn row<'a>(&'a self, row: &'a Row, exchange_id: [u8; 16]) -> schema::Row<'a> {
        let record = &row.record;
        let ai = record.ai.as_deref();
        let later = ai.and_then(|ai| ai.detours.as_deref());
        let later = later.map_or(&[][..], |detours| &detours.later_attempts);
        let last = later.last().or(record.attempts.last());
        let first_token = ai.and_then(|ai| ai.first_token);
        let trace_id = record.trace.trace_id;
        schema::Row {
            time_us: micros(record.started_unix) as i64,
            exchange_id,
            trace_id: (trace_id != [0; 16]).then_some(trace_id),
            request_id: record.request_id.as_deref().map(cut),
            node: &self.node,
            environment: self.environment.as_deref().map(cut),
            revision: record.revision,
            listener: record.listener.as_deref().map(cut),
            route: record.route.as_deref().map(cut),
            target: record.target.as_deref().map(cut),
            endpoint: last.map(|attempt| cut(&attempt.endpoint)),
            provider: ai.and_then(|ai| ai.provider.as_deref()).map(cut),
            model: ai.and_then(|ai| ai.provider_model.as_deref()).map(cut),
            consumer: record.consumer.as_deref().map(cut),
            key: record.key.as_deref().map(cut),
            team: record.team.as_deref().map(cut),
            tag: row.tag.as_deref().filter(|tag| !tag.is_empty()).map(cut),
            method: cut(row.method.as_str()),
            status: record.status.into(),
            fault: record.fault.map(|fault| fault.as_str()),
            duration_us: micros(record.duration),
            first_byte_us: first_token.or(record.first_byte).map(micros),
            request_bytes: record.request_bytes,
            response_bytes: record.response_bytes,
            input_tokens: ai.and_then(|ai| ai.input_tokens),
            output_tokens: ai.and_then(|ai| ai.output_tokens),
            cached_tokens: ai.and_then(|ai| ai.cached_tokens),
            cost_nano: ai.and_then(|ai| ai.cost).map(|cost| {
                let pico = u64::try_from(cost.picodollars()).unwrap_or(0);
                pico.div_ceil(1000)
            }),
            attempts: (record.attempts.len() + later.len()) as u64,
        }
    }

    /// The bodies that were recorded, as far as they may be kept. Heavy: text is redacted here.
    pub(super) fn bodies<'a>(
        &'a self,
        row: &'a Row,
        exchange_id: [u8; 16],
    ) -> impl Iterator<Item = BodyRow<'a>> {
        let bodies = row.record.bodies.as_deref();
        let both = bodies.map(|bodies| [bodies.request.as_ref(), bodies.response.as_ref()]);
        let redacted = row.record.guard.is_some();
        let body = move |body: &'a RecordedBody| {
            let text = body.text().as_bytes();
            BodyRow {
                time_us: micros(row.record.started_unix) as i64,
                exchange_id,
                route: row.record.route.as_deref().map(cut),
                consumer: row.record.consumer.as_deref().map(cut),
                team: row.record.team.as_deref().map(cut),
                direction: match body.side {
                    BodySide::Request => Direction::Request,
                    BodySide::Response => Direction::Response,
                },
                bytes: body.total,
                redacted,
                truncated: body.is_truncated() || text.len() > BODY_BYTES_MAX,
                body: &text[..text.len().min(BODY_BYTES_MAX)],
            }
        };
        both.into_iter().flatten().flatten().map(body)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
