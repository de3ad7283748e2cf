//! OpenID Connect's relying party, without its plumbing: what to ask a provider, and what to make of
//! its answers (Core 1.0, Discovery 1.0, RP-Initiated and Back-Channel Logout 1.0; RFC 7636, 9207,
//! 9700).
//!
//! Who fetches, waits and keeps sessions is somebody else: a policy on a worker, or the admin API on
//! one of its threads.

mod logout;
mod provider;
mod sign_in;
mod tokens;

pub use logout::{LoggedOut, end_session, logged_out};
pub use provider::{Provider, discovery_url, is_safe};
pub use sign_in::{Begun, Returned, SIGN_IN_S, SignInError, SignInSeal, authorization_url};
pub use tokens::{
    ClientAuth, TokenAnswer, TokenError, TokenRequest, check_id_token, merge_userinfo,
};
