//! What people are told about each fault: meaning, likely causes, what to do.
//!
//! The pages under `docs/errors/` are generated from here, so that a new code without its text does
//! not compile. Nothing here is sent to a caller.

use super::FaultCode;

/// The reference text of one code, as Markdown without headings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guidance {
    /// What it means that this code was answered.
    pub meaning: &'static str,
    /// What usually leads to it, the likeliest first.
    pub causes: &'static [&'static str],
    /// What to do about it, first the quickest.
    pub remedies: &'static [&'static str],
}

macro_rules! guidance {
    ($($code:ident: $meaning:literal; [$($cause:literal),+ $(,)?]; [$($remedy:literal),+ $(,)?];)+) => {
        impl FaultCode {
            /// The reference text of this code.
            #[must_use]
            pub const fn guidance(self) -> Guidance {
                match self {
                    $(FaultCode::$code => Guidance {
                        meaning: $meaning, causes: &[$($cause),+], remedies: &[$($remedy),+],
                    },)+
                }
            }
        }
    };
}

guidance! {
    MalformedRequest:
        "The bytes that arrived are not a request as RFC 9110, 9112 or 9113 define it. The gateway closes an HTTP/1.1 connection after this answer, because it cannot know where the next request would begin.";
        ["A client that writes HTTP by hand: bare CR or LF, a space before a colon, a folded field, a NUL byte, a missing Host.",
         "Something that is not HTTP, such as TLS sent to a listener without `tls`.",
         "A field that a policy reads and cannot understand, such as a `grpc-timeout` without a unit (policy `timeout`).",
         "Somebody trying to smuggle requests past the gateway."];
        ["Read the message: it names the rule that was broken. The access log holds the stable name of the rule in `fault_detail`.",
         "Send the same request with curl; if that passes, the client is at fault.",
         "Leave the check as it is: there is no setting that loosens it."];
    AmbiguousFraming:
        "Two servers could disagree on where the request ends. Such requests are refused, never repaired, because a wrong guess lets one caller's bytes become another caller's request.";
        ["Both Content-Length and Transfer-Encoding are there.",
         "Content-Length is repeated, or is no plain number.",
         "Transfer-Encoding is something else than one `chunked` at the end."];
        ["Let the client send either Content-Length or `Transfer-Encoding: chunked`, once.",
         "If a proxy stands in front of the gateway, look whether it adds one of the two fields.",
         "Many of these from one address are an attack: deny the address with policy `access`."];
    InvalidPath:
        "The path has no single spelling that every server would read in the same way, so no route can be matched safely.";
        ["Dot segments that lead above the root, or that are hidden by escapes (`..%2F`).",
         "A percent sign that two hexadecimal digits do not follow.",
         "An encoded slash, where the listener's `paths.encoded_slashes` is `refuse`.",
         "A path parameter that would lead out of the folder that a `rewrite` names."];
        ["Let the client encode parameters once, with its URL library.",
         "If your API needs encoded slashes in parameters, set `paths.encoded_slashes: keep`."];
    InvalidBody:
        "An AI route could not read the request's body as the dialect of its path.";
        ["The body is no JSON object, or has no `model`.",
         "A field that decides something is there twice.",
         "A message of a shape that the dialect does not know, on a call that has to be translated.",
         "The body of one dialect posted to the path of the other (`/v1/messages`, `/v1/chat/completions`)."];
        ["Read the message: it names the field and the rule.",
         "Send the body that the vendor's SDK sends."];
    ContractViolated:
        "The request's path is served, but its parameters or its body are not what the API's OpenAPI document (or the schema of a gRPC or GraphQL service) describes, or cost more than the route allows. The answer's `errors` name every place: `in` says which part of the request, `name` which parameter, `pointer` (a JSON pointer) which value within it.";
        ["A required parameter or member is missing, or a value has another type, range or format.",
         "The body is no JSON, has a member twice in one object, or comes in a content type or content coding that the contract does not know.",
         "A GraphQL operation that is too deep, costs too much, or has too many aliases.",
         "The service has moved on and its contract in the gateway has not."];
        ["Read `errors` in the answer: each names its place and what is expected there.",
         "Compare with the contract; the API's page in the developer portal shows it.",
         "Where the contract is wrong, correct it; set `requests: observe` for the API meanwhile, which lets such requests pass and counts them in `tidegate_contract_messages_total`."];
    GuardBlocked:
        "A rule of the route's `guard` whose action is `block` found something in the request, in a tool's result or in the model's answer. An answer that is being streamed ends with this error as its last event.";
        ["The text holds what the rule looks for: a secret, personal data, a listed word, too much text.",
         "A guard elsewhere, or the model that judges, said no.",
         "A rule that is too broad for what this route is used for."];
        ["Look at `guard` in the access log: it names the rule, the point (`request`, `response`, `tool_call`, `tool_result`) and how often it found something.",
         "Set the policy's `mode` to `observe` and look at `tidegate_guard_findings_total` before the rule blocks again.",
         "Give the rule `action: redact` where the model needs no more than a placeholder."];
    WafBlocked:
        "The rules of the route's `waf` refuse the request, or the answer: what they found adds up to the threshold, or a rule that refuses by itself matched.";
        ["The request carries what attacks carry: SQL, markup, commands, paths out of the root.",
         "A request that is in order looks like one to a rule that is too broad for this route.",
         "The body cannot be parsed as what its type says it is.",
         "The answer holds an error message or source code that should not leave."];
        ["Look at `waf` in the access log: it names the rules, what they looked at, and the shape of what they saw.",
         "Run `tidegate waf tune` over the log: it suggests the narrowest exclusion for requests that are in order.",
         "Set the policy's `mode` to `detect` while you find out; matches are counted and noted all the same."];
    LossyTranslation:
        "The request is in another dialect than the provider's, the model says `lossy: refuse`, and something in the request has no counterpart in the provider's dialect. Nothing was sent. The message lists what would have been lost, by the names of the page of losses in the reference.";
        ["The request uses a member that only one vendor has, such as a seed, a cache marker or a tool that runs at the vendor.",
         "A target that speaks the caller's dialect was there and failed first, so that only translating ones were left."];
        ["Leave out what the message lists, or ask a model whose provider speaks the caller's dialect.",
         "Add a target of the caller's own dialect to the model.",
         "Set `lossy: report` on the model: the request is then sent without what is lost, and the answer says so in `x-tidegate-losses`."];
    ApiVersionUnknown:
        "The request names a version that the API does not have, something that is no version, or none where it has to name one. The message lists the versions that are offered.";
        ["A caller that was written for a version that is not offered here.",
         "A range that no version lies within, such as `^3` where 2.1.0 is the newest.",
         "A preview, which only who names it in full gets."];
        ["Send one of the versions that the message lists.",
         "To serve callers that name none, set `unnamed` of the API's `versions`."];
    EventInvalid:
        "What was published is no CloudEvent of version 1.0, or its data is not what the schema of its type and version says. A batch is taken whole or not at all; the message says which event of it is wrong, `errors` where.";
        ["A required attribute is missing: `id`, `source`, `type` and `specversion`, as header fields `ce-...` in binary mode.",
         "Data that breaks the schema that `event_types` has for the event's type and `dataschema`.",
         "A batch sent as `application/json`: it is `application/cloudevents-batch+json`.",
         "More events, longer ones or more extensions than the route takes."];
        ["Correct the attribute or the place that the answer names; the same event may then be published under the same `id`, because nothing was kept.",
         "If publishers are to send something new, register it as a further version in `event_types`."];
    EventVersionUnknown:
        "The event's `dataschema` is none of the versions that its type has, it names none where it has to, or its type is not registered where only registered types are taken. The message lists the versions.";
        ["A publisher is ahead of what is registered.", "A `dataschema` with a typing error.",
         "A route with `registered_only: true` and a type that `event_types` does not have."];
        ["Send one of the `dataschema` values that the message lists.",
         "Register the type or the version in `event_types`, then publish again."];
    ApiVersionRetired:
        "The request asks for a version whose time is over: its `stage` is `retired`, or its `sunset_at` has passed. Sunset and Link in the answer say since when, and what to use instead.";
        ["A caller that has not moved to the next version."];
        ["Move the caller; `tidegate api callers` says who still calls what.",
         "To give callers more time, set `sunset_at` to a later day and apply."];
    ApiVersionPaused:
        "The version lies in a window of its `brownouts`, in which it refuses so that whoever still depends on it notices before it is retired. Retry-After says when the window ends.";
        ["A caller that has not moved to the next version."];
        ["Try again after Retry-After, and move the caller to the version that Link names.",
         "To end the window at once, take it out of `brownouts` and apply."];
    CredentialMissing:
        "The route asks for a credential and the request carries none where the policy looks.";
        ["The client sends no key or token.",
         "The key is in another header or query parameter than `auth_key` lists.",
         "A proxy or a redirect to another host has removed Authorization."];
        ["Send `Authorization: Bearer KEY`, or the header that the route's `auth_key` or `auth_jwt` names.",
         "Compare with `tidegate explain routes.policies`, or with the route in the configuration."];
    CredentialInvalid:
        "There was a credential, and it proves nobody.";
        ["The key is not among the keys of any consumer: mistyped, revoked, or of another environment.",
         "The token has expired, is not valid yet, or was made for another issuer or audience.",
         "The token's algorithm is not among the policy's `algorithms`, or its key is not in the key set.",
         "The same field is there twice with different values."];
        ["Look at `fault_detail` in the access log: it says which check failed. The caller is not told.",
         "Compare the SHA-256 of the key with `consumers.NAME.keys`.",
         "Check the clock of whoever issues tokens."];
    Forbidden:
        "The caller is known, and may not do this.";
        ["A claim that the route's `auth_jwt` requires is missing or has another value.",
         "No policy of the set that the route's `authorize` names permits it, or one forbids it.",
         "The consumer has no plan, and the route's `plan` has no `default`."];
        ["Look at `fault_detail` in the access log: it names the claim, or the policies that decided.",
         "Ask `tidegate authz explain` which policies decide about the caller, and why.",
         "Give the caller the claim, the role or the plan, or relax `claims` of the route."];
    AddressForbidden:
        "The caller's address is denied by a policy `access` of the route, or is not among the allowed ones.";
        ["The address is in a denied block, or outside of all allowed ones.",
         "A balancer stands in front of the gateway, so that every caller has its address."];
        ["Compare the address in the access log with the route's `access`.",
         "Name the balancer in `gateway.trusted_proxies`, so that its X-Forwarded-For is believed."];
    AccessBlocked:
        "A rule of a policy `access` with `then: block` fits the request, or none fits and the policy says `otherwise: block`.";
        ["The rule does what it is for.",
         "The rule is wider than it was meant to be: it fits a whole network, or callers behind a balancer that is not in `gateway.trusted_proxies`."];
        ["Look at `fault_detail` and `access` in the access log: they name the rule.",
         "Set the rule to `then: count` and watch `tidegate_access_matches_total` to see what it would refuse.",
         "Put a narrower rule with `then: allow` in front of it."];
    EventForbidden:
        "The event is valid, but its `type` or `source` is not among those that may be published on this route, or belongs to the gateway itself (`tidegate.*`, `urn:tidegate:...`).";
        ["A publisher on the wrong route.", "A `types` or `sources` list of the route's target that lacks an entry."];
        ["Publish it where its type is taken, or add it to `types` or `sources` of the target `events`.",
         "Give events of your own a type of your own, such as `com.example.order.placed`."];
    RouteNotFound:
        "Nothing in the configuration matches host, path, headers and query of the request on this listener.";
        ["A typing error in the path, or a path that the route spells without `{*rest}`.",
         "The Host is another one than the route's `host`.",
         "A required header or query parameter is missing.",
         "On an AI route: a path other than `/v1/chat/completions`, `/v1/messages` and `/v1/models`."];
        ["Compare the request with the routes: host, path, then headers and query.",
         "Add a route without a `host` and with the path `/{*rest}` to serve whatever is left."];
    ModelNotFound:
        "The model that the body names is not served on this route, or the caller's key may not use it. The two cases look the same to a caller on purpose.";
        ["A typing error in `model`.",
         "The route's `target.models` does not list the model.",
         "The consumer's `models` does not list it."];
        ["Ask `GET /v1/models` with the same key: it lists what may be used.",
         "Add the model to the route's `target.models` and, where it has the list, to the consumer's `models`."];
    ToolNotFound:
        "The tool, prompt or resource that an MCP call names is not offered on this route, or the caller's key may not use it. The cases look the same to a caller on purpose. It is answered as a JSON-RPC error with status 200, so that the session goes on; `data.code` holds this code.";
        ["A name without the server's prefix: tools are called `PREFIX__NAME`.",
         "The server's `tools` on the route does not list the tool.",
         "The consumer's or the key's `tools` does not list it.",
         "The server did not answer when the session began, and has not since."];
        ["Ask `tools/list` with the same key: it lists what may be used.",
         "Look at `rpc.failed_servers` in the access log for servers that could not be asked."];
    SessionNotFound:
        "The request names an MCP session that this gateway does not have. A client that speaks the protocol begins a new one by itself.";
        ["The session was idle for an hour, or was ended by its client.",
         "The gateway was restarted: sessions live in its memory.",
         "Another consumer's key was shown than the one that began the session.",
         "Several gateways stand behind one balancer that does not keep a session at one of them."];
        ["Send `initialize` again, as the protocol says.",
         "Let the balancer choose by the field `Mcp-Session-Id`."];
    MethodNotAllowed:
        "A route matches host and path, and none of its kind serves the method.";
        ["The route's `methods` leaves the method out; OPTIONS is easily forgotten (policy `cors` needs it).",
         "A client that takes the gateway for a forward proxy and sends CONNECT.",
         "A GET on an AI path that wants POST."];
        ["Use a method that the route lists, or add it to `methods`."];
    RequestTimeout:
        "The request's head or body took longer to arrive than the listener allows.";
        ["A slow or broken connection.",
         "A client that opens a connection, sends half a request and waits.",
         "A deliberate attempt to hold connections (slowloris)."];
        ["Send again.",
         "For legitimate slow uploads, raise `limits.body_time` of the listener."];
    BodyTooLarge:
        "The body is larger than the listener (or a policy of the route) allows.";
        ["A file larger than `limits.body` of the listener.",
         "A conversation with many images on an AI route; these hold at most 64 MiB."];
        ["Send less, or in parts.",
         "Raise `limits.body` of the listener."];
    TargetTooLong:
        "The path and query together are longer than 8 KiB, or than the listener's `limits.head` if that is less.";
        ["Data in the query that belongs into a body.",
         "A redirect that adds its own address to itself, over and over.",
         "A `rewrite` that makes the target longer than allowed."];
        ["Send the data in a body."];
    BudgetExceeded:
        "A budget of the key, the consumer, its team or the provider has less left than the most that this call can cost. That most is reserved before a call is sent, from the length of the request and from its limit of output tokens (the model's own where the request has none). Retry-After says when the budget's period ends.";
        ["The budget is spent; `tidegate usage` shows by whom.",
         "The request has no `max_tokens`, so that the model's whole output is reserved.",
         "Many calls at once hold reservations; what they do not use is free again when they end.",
         "A gateway died: its open calls are charged as `unsettled` until they are reconciled."];
        ["Send `max_tokens` (or your dialect's word for it).",
         "Wait for the next period, or raise the budget's `limit` and reload.",
         "Look at `tidegate usage --budgets`; take back what a bill proves wrong with `tidegate usage reconcile`."];
    BudgetUnavailable:
        "The store that holds the budgets does not answer, and what this gateway had leased of the budget is used up. With `fail: closed` such calls are refused at once.";
        ["The database is down or cannot be reached; the log says `the store is down`.",
         "The disk of the store is full.",
         "More calls wait to be written down than the gateway keeps (65,536)."];
        ["Bring the store back: the gateway tries again by itself, and writes down what it kept.",
         "Set `gateway.store.fail: open_local` where being refused is worse than a bounded overspend."];
    QuotaExceeded:
        "The caller has asked as often as its plan allows in a day, a week or a month. The request was not sent on and was not counted.";
        ["The plan's quota is too small for what the consumer does.",
         "Several clients share the keys of one consumer.",
         "A loop in a client that asks again and again."];
        ["Wait as long as Retry-After says: the period has ended by then.",
         "Look at `fault_detail` in the access log: it names the limit of the plan and the period.",
         "Give the consumer another plan, or raise `quota` of the limit in `plans`."];
    RateLimited:
        "The caller has used up what a policy `limit` of the route grants. The request was not sent on and was not counted.";
        ["More requests than the rate and its burst allow.",
         "Several clients share one key, or (with `by: address`) one address.",
         "A loop in a client that tries again at once."];
        ["Wait as long as Retry-After says; `RateLimit` in every answer shows what is left.",
         "Raise `rates` or `burst` of the route's `limit`, or count by something finer."];
    HeadTooLarge:
        "The request's head has more bytes or more fields than the listener allows.";
        ["Cookies that have piled up.",
         "A large token in a header.",
         "A client that adds fields in a loop."];
        ["Delete the cookies of the site.",
         "Raise `limits.head` or `limits.headers` of the listener."];
    ClientClosed:
        "The caller closed its connection, or its stream, before it had the whole answer. Nobody sees this answer; the code is in logs and metrics. The upstream call was cancelled.";
        ["A person closed a page or stopped a program.",
         "The caller's own timeout is shorter than the answer takes.",
         "A proxy in front of the gateway gave up."];
        ["Many of them on one route: compare `duration` in the access log with the callers' timeouts.",
         "Make the upstream faster, or the callers more patient."];
    InternalError:
        "The gateway has broken one of its own rules. Only this request ended; the process serves on.";
        ["A fault in the gateway."];
        ["Look for the same time in the operator's log, and at `tidegate_panics` in the metrics.",
         "Report it with the log line and the version; if it began with a new version, go back to the one before."];
    PolicyFailed:
        "A policy could not decide, and letting the request pass would have switched protection off.";
        ["The key set of an `auth_jwt` could not be fetched so far.",
         "A condition (`when`) has no value for this request, such as `int(...)` of a header that holds no number.",
         "A template gives something that its place cannot hold, such as a `host` that is none."];
        ["Look at `fault_detail` in the access log: it names the policy and the cause.",
         "For conditions, ask first whether the value has the right form: `request.headers['x-n'].matches('^[0-9]+$') && ...`.",
         "For key sets, check from the gateway's host that the URL answers."];
    TransferCodingUnknown:
        "The request's body is in a transfer coding other than `chunked`. What is not understood is not passed on.";
        ["A client that sends `Transfer-Encoding: gzip` where it means Content-Encoding."];
        ["Use Content-Encoding, or send the body plainly."];
    UpstreamUnreachable:
        "No connection to the chosen endpoint could be opened, and no retry helped. Nothing of the request was sent.";
        ["The service is down, or listens on another port.",
         "A firewall drops packets, or a name does not resolve.",
         "The endpoint's certificate is not trusted, or is for another name.",
         "The pool is full and no connection became free within `timeouts.connect`."];
        ["Look at `fault_detail` and at the attempts in the access log: they name the endpoint and the error.",
         "Connect from the gateway's host: `curl -v http://ENDPOINT/`.",
         "For TLS, set `tls.server_name` and `tls.authorities` of the upstream."];
    UpstreamReset:
        "The upstream closed the connection before its answer was complete. If part of the answer had reached the caller, the caller's connection was cut, so that nobody takes half an answer for a whole one.";
        ["The service crashed, or was restarted without draining.",
         "The service closes idle connections sooner than the gateway does.",
         "Something between the two closes connections."];
        ["Keep `pool.idle_time` of the upstream below the service's own keep-alive time.",
         "Look at the service's log for the same time."];
    UpstreamMalformed:
        "The upstream answered something that is not valid HTTP or, on an AI route, not the provider's dialect.";
        ["The port belongs to something that speaks another protocol, or expects TLS.",
         "`protocol: http2` for a service that speaks HTTP/1.1 only, or the reverse.",
         "A head that is too large or has forbidden characters.",
         "A compatible AI server that is less compatible than it says."];
        ["Look at `fault_detail` in the access log: it names what was wrong.",
         "Ask the endpoint directly with `curl -v --raw`."];
    UpstreamRejected:
        "A model provider refused the gateway's credential, or does not know the model that the configuration names. The caller is not at fault and is told no more.";
        ["The credential in `providers` has expired or been revoked, or the environment variable holds another one.",
         "The account may not use the model.",
         "`model` of a target is spelled wrongly."];
        ["Look at `fault_detail` in the access log: it has the provider's own words.",
         "Try the credential against the provider directly."];
    AnswerViolatesContract:
        "The upstream answered, but not as the API's OpenAPI document describes, and the API says `responses: enforce`. The caller does not see the answer; the gateway's log names the places.";
        ["The service was changed without its contract.",
         "The service reports a failure in a form that the contract does not describe, such as a page in HTML with status 500.",
         "The answer is larger than the API's `body` limit, or is compressed, so that it cannot be read."];
        ["Read the gateway's log: `fault_detail` names the places.",
         "Add the response to the contract, or correct the service.",
         "Set `responses: observe` to let such answers pass and count them."];
    NoEndpoint:
        "Every endpoint of the upstream is out of use at the moment.";
        ["Health checks fail on all of them.",
         "All have failed so often that they were ejected for a while (`outlier`).",
         "All weights are 0."];
        ["Look which endpoints the operator's log calls unhealthy or ejected.",
         "Ask the health check's path directly.",
         "Lower `outlier.share`, so that some endpoints always stay."];
    UpstreamOverloaded:
        "As many requests as the upstream's `concurrency` allows are in flight; or a model provider said that it is out of capacity or quota, and no other target was left.";
        ["The service has become slow, so that requests pile up.",
         "More traffic than expected.",
         "On an AI route: the provider's own rate limit, or an account without money."];
        ["Look at the duration of the upstream in the metrics before you raise `concurrency`.",
         "Add a `fallback` to the model, or ask the provider for a higher limit."];
    Overloaded:
        "The gateway's pool for work that is too heavy for a worker is full. Connections over a listener's limit are closed without an answer instead, and counted in `tidegate_connections_refused`.";
        ["Far more requests than the machine has cores for."];
        ["Try again after the time in Retry-After.",
         "Run more gateways, or one on a larger machine."];
    ModelBusy:
        "Every target of a model has as many calls as its `concurrency` allows, and the queue is full or the wait was too long.";
        ["The model's providers are slower than the calls to it come in: `tidegate_ai_sheds_total` grows.",
         "With `adaptive`, the bound has fallen because a provider is overloaded."];
        ["Try again after the time in Retry-After.",
         "Give the model more targets, or a longer `concurrency.queue` and `wait`."];
    EventsUnavailable:
        "The journal cannot keep events now, so none was accepted. An event that is published again after this answer is kept once, even if it was kept all the same.";
        ["The store of `gateway.store` is away or full.", "More events wait to be written than may."];
        ["Publish again after the time in Retry-After, with the same `source` and `id`.",
         "Look at the log for `journal`: it names what the store answered."];
    UpstreamTimeout:
        "The upstream did not answer within one of the limits, and no retry helped.";
        ["The service is slow or stuck.",
         "A limit that is too short for this route: `timeouts.first_byte`, `idle` or `total` of the upstream, `first_byte` or `idle` of the model, or a policy `timeout`.",
         "The caller asked for less time (`grpc-timeout`) than the answer took."];
        ["Look at the attempts in the access log: they say how long each one took.",
         "Give slow routes a `timeout` of their own instead of raising everybody's."];
    VersionUnsupported:
        "The request line names another version than HTTP/1.0 or HTTP/1.1.";
        ["A client that asks for HTTP/2 in a request line of HTTP/1.",
         "Something that is not HTTP at all."];
        ["Use HTTP/1.1, or HTTP/2 by ALPN or with prior knowledge."];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained_in_sentences() {
        for &code in FaultCode::ALL {
            let Guidance {
                meaning,
                causes,
                remedies,
            } = code.guidance();
            for text in [meaning].iter().chain(causes).chain(remedies) {
                assert!(text.ends_with('.'), "{code}: {text}");
                assert!(text.len() >= 10, "{code}: {text}");
            }
        }
    }
}
