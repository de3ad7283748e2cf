//! Directives that set something for the whole set, and those that are of no use here.

use crate::decision::Engine;
use crate::ruleset::{Limits, OnLimit, Settings};

/// As ModSecurity has it without any directive, but with bounds.
pub(super) fn defaults() -> Settings {
    Settings {
        engine: Engine::On,
        request_body: true,
        response_body: false,
        response_types: Vec::new(),
        argument_separator: b'&',
        limits: Limits {
            request_body: 13_107_200,
            request_body_no_files: 1_048_576,
            request_body_action: OnLimit::Reject,
            response_body: 524_288,
            response_body_action: OnLimit::ProcessPartial,
            depth: 512,
            arguments: 1000,
        },
    }
}

/// Directives about logs, storage, servers and engines, which mean nothing to this engine.
const IGNORED: &[&str] = &[
    "secauditengine",
    "secauditlog",
    "secauditlog2",
    "secauditlogdirmode",
    "secauditlogfilemode",
    "secauditlogformat",
    "secauditlogparts",
    "secauditlogrelevantstatus",
    "secauditlogstoragedir",
    "secauditlogtype",
    "seccollectiontimeout",
    "seccomponentsignature",
    "seccookieformat",
    "seccookiev0separator",
    "secdatadir",
    "secdebuglog",
    "secdebugloglevel",
    "secinterceptonerror",
    "secpcrematchlimit",
    "secpcrematchlimitrecursion",
    "secrequestbodyinmemorylimit",
    "secruleperftime",
    "secserversignature",
    "secstatusengine",
    "sectmpdir",
    "sectmpsaveuploadedfiles",
    "secunicodecodepage",
    "secunicodemapfile",
    "secuploaddir",
    "secuploadfilelimit",
    "secuploadfilemode",
    "secuploadkeepfiles",
    "secwebappid",
    "secxmlexternalentity",
];

/// Takes a directive.
pub(super) fn directive(
    settings: &mut Settings,
    name: &str,
    words: &[String],
) -> Result<(), String> {
    let word = words.first().map(String::as_str);
    let value = || word.ok_or_else(|| format!("`{name}` is short of an argument"));
    let limits = &mut settings.limits;
    match name {
        "secruleengine" => settings.engine = engine(value()?)?,
        "secrequestbodyaccess" => settings.request_body = switch(value()?)?,
        "secresponsebodyaccess" => settings.response_body = switch(value()?)?,
        "secresponsebodymimetype" => {
            let types = words.iter().flat_map(|word| word.split_whitespace());
            settings.response_types = types.map(str::to_ascii_lowercase).collect();
        }
        "secresponsebodymimetypesclear" => settings.response_types.clear(),
        "secargumentseparator" => match value()?.as_bytes() {
            [byte] => settings.argument_separator = *byte,
            _ => return Err("the separator of arguments is one character".into()),
        },
        "secrequestbodylimit" => limits.request_body = number(value()?)?,
        "secrequestbodynofileslimit" => limits.request_body_no_files = number(value()?)?,
        "secrequestbodylimitaction" => limits.request_body_action = on_limit(value()?)?,
        "secresponsebodylimit" => limits.response_body = number(value()?)?,
        "secresponsebodylimitaction" => limits.response_body_action = on_limit(value()?)?,
        "secrequestbodyjsondepthlimit" => limits.depth = number(value()?)?.clamp(1, 10_000),
        "secargumentslimit" => limits.arguments = number(value()?)?,
        _ if IGNORED.contains(&name) => {}
        _ => return Err(format!("`{name}` is no directive that is supported")),
    }
    Ok(())
}

/// Reads what `SecRuleEngine` and `ctl:ruleEngine` may say.
pub(super) fn engine(text: &str) -> Result<Engine, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" => Ok(Engine::On),
        "off" => Ok(Engine::Off),
        "detectiononly" => Ok(Engine::DetectionOnly),
        _ => Err(format!("`{text}` is none of On, Off and DetectionOnly")),
    }
}

/// Reads `On` or `Off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(format!("`{text}` is neither On nor Off")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

fn on_limit(text: &str) -> Result<OnLimit, String> {
    match text.to_ascii_lowercase().as_str() {
        "reject" => Ok(OnLimit::Reject),
        "processpartial" => Ok(OnLimit::ProcessPartial),
        _ => Err(format!("`{text}` is neither Reject nor ProcessPartial")),
    }
}
