//! What each directive of nginx means to the import: understood, needless, closing, or unknown.

use super::syntax::Directive;
use crate::note::{Notes, Outcome};

/// Read elsewhere in this folder, which also tells what differs.
const UNDERSTOOD: &[&str] = &[
    "add_header",
    "allow",
    "backlog",
    "client_body_timeout",
    "client_header_timeout",
    "client_max_body_size",
    "default_type",
    "deny",
    "grpc_pass",
    "gzip",
    "gzip_comp_level",
    "gzip_min_length",
    "gzip_types",
    "http",
    "if",
    "include",
    "keepalive_timeout",
    "limit_req",
    "limit_req_status",
    "limit_req_zone",
    "listen",
    "location",
    "proxy_connect_timeout",
    "proxy_hide_header",
    "proxy_next_upstream",
    "proxy_next_upstream_tries",
    "proxy_pass",
    "proxy_read_timeout",
    "proxy_set_header",
    "proxy_ssl_certificate",
    "proxy_ssl_certificate_key",
    "proxy_ssl_name",
    "proxy_ssl_server_name",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_verify",
    "real_ip_header",
    "real_ip_recursive",
    "return",
    "rewrite",
    "send_timeout",
    "server",
    "server_name",
    "set_real_ip_from",
    "ssl",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_protocols",
    "stream",
    "upstream",
    "worker_processes",
];

/// Needs no counterpart, and why.
const NEEDLESS: &[(&[&str], &str)] = &[
    (
        &[
            "user",
            "pid",
            "daemon",
            "master_process",
            "error_log",
            "worker_rlimit_nofile",
            "worker_priority",
            "worker_cpu_affinity",
            "worker_shutdown_timeout",
            "lock_file",
            "env",
            "load_module",
            "pcre_jit",
            "thread_pool",
            "timer_resolution",
            "working_directory",
        ],
        "the service manager and the gateway itself see to that",
    ),
    (
        &[
            "events",
            "sendfile",
            "sendfile_max_chunk",
            "tcp_nopush",
            "tcp_nodelay",
            "aio",
            "directio",
            "open_file_cache",
            "open_file_cache_valid",
            "open_file_cache_min_uses",
            "open_file_cache_errors",
            "output_buffers",
            "postpone_output",
            "reset_timedout_connection",
            "types",
            "types_hash_max_size",
            "types_hash_bucket_size",
            "server_names_hash_max_size",
            "server_names_hash_bucket_size",
            "variables_hash_max_size",
            "variables_hash_bucket_size",
            "map_hash_max_size",
            "map_hash_bucket_size",
            "proxy_headers_hash_max_size",
            "proxy_headers_hash_bucket_size",
            "client_body_buffer_size",
            "client_header_buffer_size",
            "large_client_header_buffers",
            "client_body_temp_path",
            "proxy_temp_path",
            "fastcgi_temp_path",
            "uwsgi_temp_path",
            "scgi_temp_path",
            "proxy_buffer_size",
            "proxy_buffers",
            "proxy_busy_buffers_size",
            "proxy_max_temp_file_size",
            "proxy_temp_file_write_size",
            "proxy_socket_keepalive",
            "keepalive_requests",
            "connection_pool_size",
            "request_pool_size",
            "charset",
            "log_not_found",
            "log_subrequest",
        ],
        "buffers, files and sockets are sized by the gateway",
    ),
    (
        &[
            "proxy_buffering",
            "proxy_request_buffering",
            "proxy_http_version",
            "chunked_transfer_encoding",
        ],
        "bodies always stream, over HTTP/1.1 with connections kept",
    ),
    (
        &[
            "http2",
            "http2_max_concurrent_streams",
            "http2_recv_timeout",
        ],
        "HTTP/2 is spoken on every TLS listener",
    ),
    (
        &[
            "gzip_vary",
            "gzip_proxied",
            "gzip_http_version",
            "gzip_buffers",
            "gzip_disable",
            "gzip_static",
        ],
        "`compress` decides by the request and the answer",
    ),
    (
        &[
            "server_tokens",
            "server_name_in_redirect",
            "port_in_redirect",
            "absolute_redirect",
        ],
        "the gateway does not name itself",
    ),
    (
        &[
            "ssl_session_cache",
            "ssl_session_timeout",
            "ssl_session_tickets",
            "ssl_buffer_size",
            "ssl_prefer_server_ciphers",
            "ssl_dhparam",
            "ssl_ecdh_curve",
            "ssl_ciphers",
            "ssl_conf_command",
            "proxy_ssl_session_reuse",
        ],
        "TLS 1.2 and 1.3 with the suites of rustls, which has no weak ones",
    ),
    (
        &["proxy_redirect"],
        "answers' Location is sent on as it comes",
    ),
    (
        &["merge_slashes"],
        "slashes are merged (`listeners.NAME.paths`)",
    ),
];

/// Protects, and cannot be expressed: what it protects is closed.
const CLOSING: &[(&str, &str)] = &[
    (
        "auth_basic",
        "there is no policy for user names and passwords; use `auth_key` or `auth_jwt`",
    ),
    (
        "auth_request",
        "there is no policy that asks another service who may pass",
    ),
    (
        "auth_jwt",
        "its keys and claims have to be written as the policy `auth_jwt`",
    ),
    ("satisfy", "policies all have to be satisfied"),
    (
        "ssl_verify_client",
        "callers' certificates are not verified",
    ),
    (
        "limit_except",
        "methods are chosen by `match.methods` of a route",
    ),
    ("internal", "there are no requests inside the gateway"),
    (
        "valid_referers",
        "conditions on Referer have to be written as CEL",
    ),
    ("secure_link", "signed links are not known"),
    ("modsecurity", "there is no web application firewall yet"),
    ("access_by_lua_block", "Lua is not run"),
    ("access_by_lua_file", "Lua is not run"),
    ("js_access", "JavaScript is not run"),
];

/// Dropped for a reason that is better than "unknown".
const DROPPED: &[(&[&str], &str)] = &[
    (&["mail"], "mail is not served"),
    (
        &[
            "root",
            "alias",
            "index",
            "try_files",
            "autoindex",
            "expires",
            "etag",
        ],
        "files are not served; put a server of files behind an upstream",
    ),
    (
        &["access_log", "log_format"],
        "set `gateway.access_log`, whose rows have all of it",
    ),
    (
        &["fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"],
        "only HTTP upstreams are called",
    ),
    (
        &["error_page", "proxy_intercept_errors"],
        "answers of upstreams are not replaced",
    ),
    (
        &[
            "proxy_cache",
            "proxy_cache_path",
            "proxy_cache_valid",
            "proxy_cache_key",
        ],
        "answers of HTTP services are not cached",
    ),
    (
        &["limit_conn", "limit_conn_zone"],
        "connections are limited by listener (`limits.connections`)",
    ),
    (
        &["limit_rate", "limit_rate_after"],
        "bandwidth is not limited",
    ),
    (
        &["map", "geo", "split_clients", "set"],
        "variables of one's own do not exist",
    ),
    (
        &["resolver", "resolver_timeout"],
        "names are resolved by the system's configuration",
    ),
    (
        &[
            "ssl_stapling",
            "ssl_stapling_verify",
            "ssl_trusted_certificate",
        ],
        "OCSP is not stapled",
    ),
    (
        &["proxy_send_timeout"],
        "there is no limit of its own on sending",
    ),
    (
        &["mirror"],
        "write it as the policy `mirror`, which takes an upstream",
    ),
    (
        &["sub_filter", "sub_filter_once", "addition_types"],
        "bodies are not rewritten",
    ),
];

/// Says about every directive of a block what is not said where it is read.
pub(super) fn tell(block: &[Directive], notes: &mut Notes) {
    for directive in block {
        let name = &*directive.name;
        if UNDERSTOOD.contains(&name) || closes(directive).is_some() {
            continue;
        }
        let needless = NEEDLESS.iter().find(|(names, _)| names.contains(&name));
        let dropped = DROPPED.iter().find(|(names, _)| names.contains(&name));
        let silent = name == "access_log" && directive.word(0) == "off";
        let needless = match silent {
            true => Some(&(
                &[][..],
                "nothing is logged unless `gateway.access_log` says so",
            )),
            false => needless,
        };
        let (outcome, why) = match (needless, dropped) {
            (Some((_, why)), _) => (Outcome::Needless, *why),
            (None, Some((_, why))) => (Outcome::Dropped, *why),
            (None, None) => (Outcome::Dropped, "this import does not know it"),
        };
        notes.add(directive.line, directive.shown(), outcome, why);
    }
}

/// Why a directive closes what it protects; nothing for others, and for those that say `off`.
pub(super) fn closes(directive: &Directive) -> Option<&'static str> {
    let closing = CLOSING.iter().find(|(name, _)| *name == directive.name)?;
    let open = matches!(directive.word(0), "off" | "all" | "optional_no_ca");
    (!open).then_some(closing.1)
}

/// The names of directives that may close.
pub(super) fn closing_names() -> impl Iterator<Item = &'static str> {
    CLOSING.iter().map(|(name, _)| *name)
}
