//! The proxy through real sockets: one binary, a module per area.

#[path = "it/basics.rs"]
mod basics;
#[path = "it/bedrock.rs"]
mod bedrock;
#[path = "it/bodies.rs"]
mod bodies;
#[path = "it/broken.rs"]
mod broken;
#[path = "it/cached.rs"]
mod cached;
#[path = "it/cassettes.rs"]
mod cassettes;
#[path = "it/certificates.rs"]
mod certificates;
#[path = "it/choices.rs"]
mod choices;
#[path = "it/contract.rs"]
mod contract;
#[path = "it/counted.rs"]
mod counted;
#[path = "it/desync.rs"]
mod desync;
#[path = "it/experiments.rs"]
mod experiments;
#[path = "it/failures.rs"]
mod failures;
#[path = "it/fallback.rs"]
mod fallback;
#[path = "it/faults.rs"]
mod faults;
#[path = "it/firewall.rs"]
mod firewall;
#[path = "it/floods.rs"]
mod floods;
#[path = "it/google.rs"]
mod google;
#[path = "it/grpc.rs"]
mod grpc;
#[path = "it/grpc_json.rs"]
mod grpc_json;
#[path = "it/guarded.rs"]
mod guarded;
#[path = "it/hedging.rs"]
mod hedging;
#[path = "it/hostile.rs"]
mod hostile;
#[path = "it/http2.rs"]
mod http2;
#[path = "it/http3.rs"]
mod http3;
#[path = "it/http3_ends.rs"]
mod http3_ends;
#[path = "it/http3_hostile.rs"]
mod http3_hostile;
#[path = "it/inside.rs"]
mod inside;
#[path = "it/invoke.rs"]
mod invoke;
#[path = "it/judged.rs"]
mod judged;
#[path = "it/lake.rs"]
mod lake;
#[path = "it/malformed.rs"]
mod malformed;
#[path = "it/misbehaviour.rs"]
mod misbehaviour;
#[path = "it/models.rs"]
mod models;
#[path = "it/money.rs"]
mod money;
#[path = "it/names.rs"]
mod names;
#[path = "it/objectives.rs"]
mod objectives;
#[path = "it/operation_routing.rs"]
mod operation_routing;
#[path = "it/operations.rs"]
mod operations;
#[path = "it/peers.rs"]
mod peers;
#[path = "../../gate-http3/tests/it/peers3.rs"]
mod peers3;
#[path = "it/pieces.rs"]
mod pieces;
#[path = "it/prompts.rs"]
mod prompts;
#[path = "it/raw2.rs"]
mod raw2;
#[path = "it/recorded.rs"]
mod recorded;
#[path = "it/replay/mod.rs"]
mod replay;
#[path = "it/resuming.rs"]
mod resuming;
#[path = "it/rollouts.rs"]
mod rollouts;
#[path = "it/routing.rs"]
mod routing;
#[path = "it/shadowed.rs"]
mod shadowed;
#[path = "it/sockets.rs"]
mod sockets;
#[path = "it/standing.rs"]
mod standing;
#[path = "it/streams.rs"]
mod streams;
#[path = "it/support.rs"]
mod support;
#[path = "it/swapped.rs"]
mod swapped;
#[path = "it/telemetry.rs"]
mod telemetry;
#[path = "it/testssl.rs"]
mod testssl;
#[path = "it/tiers.rs"]
mod tiers;
#[path = "it/tls.rs"]
mod tls;
#[path = "it/tools.rs"]
mod tools;
#[path = "it/translated.rs"]
mod translated;
#[path = "it/upgrades.rs"]
mod upgrades;
#[path = "it/upstreams.rs"]
mod upstreams;
