//! Where a subscriber's events go.

use super::job::JobTarget;
use crate::resources::{EmailReceiver, SecretPlace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a subscriber's events go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SubscriberTarget {
    /// A service over HTTP, with a signature as Standard Webhooks have it.
    Webhook(WebhookTarget),
    /// A route of this gateway, with all its policies; nothing leaves the process.
    Route(RouteTarget),
    /// A job over routes of this gateway, which each event starts once.
    Job(Box<JobTarget>),
    /// The `/events` of another gateway, or of anything that takes CloudEvents.
    Gateway(GatewayTarget),
    /// An e-mail.
    Email(MailTarget),
    /// A queue of SQS, or of what speaks its protocol.
    Sqs(SqsTarget),
    /// A bus of EventBridge, or of what speaks its protocol.
    Eventbridge(EventbridgeTarget),
    /// A subject of NATS.
    Nats(NatsTarget),
    /// A topic of Kafka.
    Kafka(KafkaTarget),
}

impl SubscriberTarget {
    /// Its word in configuration.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            SubscriberTarget::Webhook(_) => "webhook",
            SubscriberTarget::Route(_) => "route",
            SubscriberTarget::Job(_) => "job",
            SubscriberTarget::Gateway(_) => "gateway",
            SubscriberTarget::Email(_) => "email",
            SubscriberTarget::Sqs(_) => "sqs",
            SubscriberTarget::Eventbridge(_) => "eventbridge",
            SubscriberTarget::Nats(_) => "nats",
            SubscriberTarget::Kafka(_) => "kafka",
        }
    }
}

/// How an event is written into a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloudEventMode {
    /// Its data is the body, its attributes are header fields.
    #[default]
    Binary,
    /// All of it is one JSON object.
    Structured,
}

/// A service over HTTP. It has taken an event when it answers with a status from 200 to 299. It refuses
/// it with 400, 410, 413, 415 or 422, which makes it a dead letter at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// Where it is: `https://`, or `http://` on this machine.
    pub url: String,
    /// How the event is written.
    #[serde(default)]
    pub mode: CloudEventMode,
    /// Where the secret is kept that messages are signed with (`webhook-signature`), as Standard Webhooks
    /// have it: `whsec_` and base64. Several, separated by blanks, sign while one takes another's place.
    #[serde(default)]
    pub secret: Option<SecretPlace>,
    /// Where the value of the `Authorization` header is kept, such as `Bearer ...`.
    #[serde(default)]
    pub authorization: Option<SecretPlace>,
    /// Further header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Allows an address that leads to this machine, its link or a metadata service by a name that does not
    /// say so: what is neither `localhost` nor a loopback address.
    #[serde(default)]
    pub allow_private: bool,
}

/// A route of this gateway. What it answers counts as with a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTarget {
    /// The listener whose routes are looked at.
    pub listener: String,
    /// The path that is asked for, with its query.
    pub path: String,
    /// The method.
    #[serde(default = "post")]
    pub method: String,
    /// The host that is asked for, where routes tell hosts apart.
    #[serde(default)]
    pub host: Option<String>,
    /// In whose name; routes that want to know the caller refuse otherwise.
    #[serde(default)]
    pub consumer: Option<String>,
    /// How the event is written.
    #[serde(default)]
    pub mode: CloudEventMode,
}

fn post() -> String {
    "POST".into()
}

/// What takes CloudEvents, such as another gateway. An event has the same id there, so that it is taken
/// once however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatewayTarget {
    /// Its address, such as `https://gateway.example.com/events`.
    pub url: String,
    /// Where the value of the `Authorization` header is kept, such as `Bearer ...`.
    #[serde(default)]
    pub authorization: Option<SecretPlace>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

/// An e-mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MailTarget {
    /// To whom, from whom, by which server.
    pub mail: EmailReceiver,
    /// The subject, with places of the event in braces as in a template.
    #[serde(default = "subject")]
    pub subject: String,
}

fn subject() -> String {
    "{type} from {source}".into()
}

/// How a gateway proves itself to AWS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AwsAccess {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// Where the access key's id is kept.
    pub access_key_id: SecretPlace,
    /// Where its secret is kept.
    pub secret_access_key: SecretPlace,
    /// Where the session's token is kept, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<SecretPlace>,
}

/// A queue of SQS. The event is the message's body as JSON. In a queue whose name ends with `.fifo`, the
/// value of `order_by` is the message's group and its key is what it is deduplicated by.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqsTarget {
    /// The queue's URL; messages go to its host.
    pub queue: String,
    /// How the gateway proves itself.
    pub access: AwsAccess,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

/// A bus of EventBridge. The event's source and type are those of the entry, all of it its detail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventbridgeTarget {
    /// The bus, by name or ARN.
    #[serde(default = "default_bus")]
    pub bus: String,
    /// How the gateway proves itself.
    pub access: AwsAccess,
    /// Address instead of `https://events.REGION.amazonaws.com`.
    #[serde(default)]
    pub address: Option<String>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

fn default_bus() -> String {
    "default".into()
}

/// A subject of NATS.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NatsTarget {
    /// The server, as `HOST:PORT`.
    pub server: String,
    /// The subject, with places of the event in braces as in a template: `events.{type}`. Blanks, `*`
    /// and `>` of events become `_`.
    pub subject: String,
    /// Whether a stream must have stored it: the message is sent as a request with `Nats-Msg-Id`, and has
    /// arrived when JetStream says so. Otherwise it has when the server has read it.
    #[serde(default)]
    pub jetstream: bool,
    /// How the event is written: attributes as header fields `ce-...`, or all as JSON.
    #[serde(default)]
    pub mode: CloudEventMode,
    /// Whether the connection is encrypted; it is when the server demands it, too.
    #[serde(default)]
    pub tls: bool,
    /// Name to sign in with.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is kept, or the token where there is no `user`.
    #[serde(default)]
    pub password: Option<SecretPlace>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

/// When a broker has taken an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KafkaAcks {
    /// When all replicas in sync have it.
    #[default]
    All,
    /// When the partition's leader has it.
    Leader,
}

/// A topic of Kafka. The value of `order_by` is the record's key, by which its partition is chosen as
/// Java's client does; events without one are spread.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KafkaTarget {
    /// Brokers to begin with, as `HOST:PORT`.
    pub brokers: Vec<String>,
    /// The topic.
    pub topic: String,
    /// When an event has arrived.
    #[serde(default)]
    pub acks: KafkaAcks,
    /// How the event is written: attributes as headers `ce_...`, or all as JSON.
    #[serde(default)]
    pub mode: CloudEventMode,
    /// Whether connections are encrypted.
    #[serde(default)]
    pub tls: bool,
    /// Name to sign in with (SASL PLAIN). Needs TLS.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the password is kept.
    #[serde(default)]
    pub password: Option<SecretPlace>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
}

impl SubscriberTarget {
    /// The secrets that it names, each with the fields that lead to it.
    #[must_use]
    pub fn secrets(&self) -> Vec<(&'static [&'static str], &SecretPlace)> {
        let found: Vec<(&'static [&'static str], Option<&SecretPlace>)> = match self {
            SubscriberTarget::Webhook(webhook) => vec![
                (&["secret"], webhook.secret.as_ref()),
                (&["authorization"], webhook.authorization.as_ref()),
            ],
            SubscriberTarget::Route(_) | SubscriberTarget::Job(_) => Vec::new(),
            SubscriberTarget::Gateway(gateway) => {
                vec![(&["authorization"], gateway.authorization.as_ref())]
            }
            SubscriberTarget::Email(email) => {
                vec![(&["mail", "password"], email.mail.password.as_ref())]
            }
            SubscriberTarget::Sqs(sqs) => access(&sqs.access),
            SubscriberTarget::Eventbridge(bus) => access(&bus.access),
            SubscriberTarget::Nats(nats) => vec![(&["password"], nats.password.as_ref())],
            SubscriberTarget::Kafka(kafka) => vec![(&["password"], kafka.password.as_ref())],
        };
        let named = found.into_iter();
        named
            .filter_map(|(fields, place)| Some((fields, place?)))
            .collect()
    }

    /// The file of certificate authorities that it names, with the fields that lead to it.
    #[must_use]
    pub fn authorities(&self) -> Option<(&'static [&'static str], &PathBuf)> {
        let (fields, file): (&'static [&'static str], _) = match self {
            SubscriberTarget::Webhook(webhook) => (&[], &webhook.authorities),
            SubscriberTarget::Route(_) | SubscriberTarget::Job(_) => return None,
            SubscriberTarget::Gateway(gateway) => (&[], &gateway.authorities),
            SubscriberTarget::Email(email) => (&["mail"], &email.mail.authorities),
            SubscriberTarget::Sqs(sqs) => (&[], &sqs.authorities),
            SubscriberTarget::Eventbridge(bus) => (&[], &bus.authorities),
            SubscriberTarget::Nats(nats) => (&[], &nats.authorities),
            SubscriberTarget::Kafka(kafka) => (&[], &kafka.authorities),
        };
        file.as_ref().map(|file| (fields, file))
    }
}

fn access(access: &AwsAccess) -> Vec<(&'static [&'static str], Option<&SecretPlace>)> {
    vec![
        (&["access", "access_key_id"], Some(&access.access_key_id)),
        (
            &["access", "secret_access_key"],
            Some(&access.secret_access_key),
        ),
        (&["access", "session_token"], access.session_token.as_ref()),
    ]
}
