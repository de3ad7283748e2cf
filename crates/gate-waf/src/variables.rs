//! The variables that rules name, and which members of a collection they mean.

use crate::operator::Pattern;
use crate::seclang::{RawSelector, RawTarget};

macro_rules! names {
    ($(#[$meta:meta])* $kind:ident, $count:ident: $($variant:ident $name:literal,)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum $kind { $($variant,)* }
        /// How many there are.
        #[allow(dead_code, reason = "not every kind is counted")]
        pub(crate) const $count: usize = [$($name),*].len();
        impl $kind {
            /// Name as rules write it.
            pub(crate) const fn name(self) -> &'static str {
                match self { $($kind::$variant => $name,)* }
            }
            /// By its name in capitals.
            pub(crate) fn by_name(name: &str) -> Option<$kind> {
                match name { $($name => Some($kind::$variant),)* _ => None }
            }
        }
    };
}

names! {
    /// Variables with one value.
    Scalar, SCALARS:
    ArgsCombinedSize "ARGS_COMBINED_SIZE",
    AuthType "AUTH_TYPE",
    Duration "DURATION",
    FilesCombinedSize "FILES_COMBINED_SIZE",
    FullRequestLength "FULL_REQUEST_LENGTH",
    InboundDataError "INBOUND_DATA_ERROR",
    MscPcreError "MSC_PCRE_ERROR",
    MscPcreLimitsExceeded "MSC_PCRE_LIMITS_EXCEEDED",
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED",
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE",
    MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES",
    MultipartDataAfter "MULTIPART_DATA_AFTER",
    MultipartDataBefore "MULTIPART_DATA_BEFORE",
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED",
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING",
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING",
    MultipartInvalidPart "MULTIPART_INVALID_PART",
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING",
    MultipartLfLine "MULTIPART_LF_LINE",
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON",
    MultipartStrictError "MULTIPART_STRICT_ERROR",
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY",
    OutboundDataError "OUTBOUND_DATA_ERROR",
    PathInfo "PATH_INFO",
    QueryString "QUERY_STRING",
    RemoteAddr "REMOTE_ADDR",
    RemoteHost "REMOTE_HOST",
    RemotePort "REMOTE_PORT",
    RemoteUser "REMOTE_USER",
    ReqbodyError "REQBODY_ERROR",
    ReqbodyErrorMsg "REQBODY_ERROR_MSG",
    ReqbodyProcessor "REQBODY_PROCESSOR",
    ReqbodyProcessorError "REQBODY_PROCESSOR_ERROR",
    ReqbodyProcessorErrorMsg "REQBODY_PROCESSOR_ERROR_MSG",
    RequestBasename "REQUEST_BASENAME",
    RequestBody "REQUEST_BODY",
    RequestBodyLength "REQUEST_BODY_LENGTH",
    RequestFilename "REQUEST_FILENAME",
    RequestLine "REQUEST_LINE",
    RequestMethod "REQUEST_METHOD",
    RequestProtocol "REQUEST_PROTOCOL",
    RequestUri "REQUEST_URI",
    RequestUriRaw "REQUEST_URI_RAW",
    ResponseBody "RESPONSE_BODY",
    ResponseContentLength "RESPONSE_CONTENT_LENGTH",
    ResponseContentType "RESPONSE_CONTENT_TYPE",
    ResponseProtocol "RESPONSE_PROTOCOL",
    ResponseStatus "RESPONSE_STATUS",
    ServerAddr "SERVER_ADDR",
    ServerName "SERVER_NAME",
    ServerPort "SERVER_PORT",
    UniqueId "UNIQUE_ID",
    UrlencodedError "URLENCODED_ERROR",
    XmlAttributes "XML://@*",
    XmlText "XML:/*",
}

names! {
    /// Variables with many values, each under a key.
    Set, SETS:
    Args "ARGS",
    ArgsGet "ARGS_GET",
    ArgsPost "ARGS_POST",
    Cookies "REQUEST_COOKIES",
    Files "FILES",
    FilesNames "FILES_NAMES",
    FilesSizes "FILES_SIZES",
    FilesTmpContent "FILES_TMP_CONTENT",
    FilesTmpNames "FILES_TMPNAMES",
    MultipartFileName "MULTIPART_FILENAME",
    MultipartName "MULTIPART_NAME",
    MultipartPartHeaders "MULTIPART_PART_HEADERS",
    RequestHeaders "REQUEST_HEADERS",
    ResponseHeaders "RESPONSE_HEADERS",
    XmlAttribute "XML",
}

names! {
    /// Collections that rules write to. All but `TX` live as long as the transaction too.
    Bag, BAGS:
    Tx "TX",
    Ip "IP",
    Global "GLOBAL",
    Session "SESSION",
    User "USER",
    Resource "RESOURCE",
    Env "ENV",
    Geo "GEO",
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// One value.
    Scalar(Scalar),
    /// The values of a collection.
    Values(Set),
    /// The keys of a collection.
    Keys(Set),
    /// A collection that rules write to.
    Bag(Bag),
    /// What the last operator that matched looked at.
    MatchedVar,
    /// Its name.
    MatchedVarName,
    /// All that the rule before it in a chain matched.
    MatchedVars,
    /// Their names.
    MatchedVarsNames,
    /// The lowest severity number that matched so far; 255 before any.
    HighestSeverity,
}

impl Variable {
    /// By its name in capitals; `XML` needs the selector too.
    pub(crate) fn by_name(name: &str, selector: &RawSelector) -> Result<Variable, String> {
        if name == "XML" {
            return match selector {
                RawSelector::Key(path) if path == "/*" => Ok(Variable::Scalar(Scalar::XmlText)),
                RawSelector::Key(path) if path == "//@*" => Ok(Variable::Values(Set::XmlAttribute)),
                _ => Err("of XPath, only `XML:/*` and `XML://@*` are supported".into()),
            };
        }
        let fixed = match name {
            "MATCHED_VAR" => Some(Variable::MatchedVar),
            "MATCHED_VAR_NAME" => Some(Variable::MatchedVarName),
            "MATCHED_VARS" => Some(Variable::MatchedVars),
            "MATCHED_VARS_NAMES" => Some(Variable::MatchedVarsNames),
            "HIGHEST_SEVERITY" => Some(Variable::HighestSeverity),
            "FILES_NAMES" => Some(Variable::Values(Set::FilesNames)),
            _ => None,
        };
        let scalar = || Scalar::by_name(name).map(Variable::Scalar);
        let set = || Set::by_name(name).map(Variable::Values);
        let bag = || Bag::by_name(name).map(Variable::Bag);
        let keys = || {
            let set = Set::by_name(name.strip_suffix("_NAMES")?)?;
            Some(Variable::Keys(set))
        };
        let found = fixed
            .or_else(scalar)
            .or_else(set)
            .or_else(bag)
            .or_else(keys);
        found.ok_or_else(|| format!("`{name}` is no variable that is supported"))
    }

    /// Whether its values are what arrived, so that they do not change while rules run.
    pub(crate) fn is_fixed(self) -> bool {
        matches!(
            self,
            Variable::Scalar(_) | Variable::Values(_) | Variable::Keys(_)
        )
    }

    /// Name as rules write it, without a key.
    pub(crate) fn name(self) -> std::borrow::Cow<'static, str> {
        match self {
            Variable::Scalar(scalar) => scalar.name().into(),
            Variable::Values(set) => set.name().into(),
            Variable::Keys(set) => format!("{}_NAMES", set.name()).into(),
            Variable::Bag(bag) => bag.name().into(),
            Variable::MatchedVar => "MATCHED_VAR".into(),
            Variable::MatchedVarName => "MATCHED_VAR_NAME".into(),
            Variable::MatchedVars => "MATCHED_VARS".into(),
            Variable::MatchedVarsNames => "MATCHED_VARS_NAMES".into(),
            Variable::HighestSeverity => "HIGHEST_SEVERITY".into(),
        }
    }
}

/// Which members of a collection are meant.
#[derive(Debug, Clone)]
pub(crate) enum Selector {
    /// All.
    All,
    /// The one with this key; letters are compared without case.
    Key(Box<[u8]>),
    /// Those whose key the pattern finds, without regard to case.
    Pattern(Pattern),
}

impl Selector {
    pub(crate) fn compile(raw: &RawSelector) -> Result<Selector, String> {
        Ok(match raw {
            RawSelector::All => Selector::All,
            RawSelector::Key(key) => Selector::Key(key.to_ascii_lowercase().into_bytes().into()),
            RawSelector::Pattern(pattern) => Selector::Pattern(Pattern::compile(pattern, true)?),
        })
    }

    /// Whether a member with this key is meant.
    pub(crate) fn selects(&self, key: &[u8]) -> bool {
        match self {
            Selector::All => true,
            Selector::Key(wanted) => wanted.eq_ignore_ascii_case(key),
            Selector::Pattern(pattern) => pattern.is_match(key),
        }
    }
}

/// A variable of a rule with what is left out of it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) variable: Variable,
    pub(crate) selector: Selector,
    pub(crate) counted: bool,
    /// Members that are left out.
    pub(crate) without: Vec<Selector>,
    /// As rules write it, in capitals up to the colon.
    pub(crate) name: Box<str>,
}

impl Target {
    pub(crate) fn compile(raw: &RawTarget) -> Result<Target, String> {
        let variable = Variable::by_name(&raw.name, &raw.selector)?;
        let is_xml = raw.name == "XML";
        let selector = match is_xml {
            true => Selector::All,
            false => Selector::compile(&raw.selector)?,
        };
        let keyless = matches!(variable, Variable::Scalar(_) | Variable::MatchedVar);
        if keyless && !matches!(selector, Selector::All) {
            return Err(format!("`{}` has no members", raw.name));
        }
        let name = match &raw.selector {
            RawSelector::All => raw.name.clone(),
            RawSelector::Key(key) => format!("{}:{key}", raw.name),
            RawSelector::Pattern(pattern) => format!("{}:/{pattern}/", raw.name),
        };
        Ok(Target {
            variable,
            selector,
            counted: raw.counted,
            without: Vec::new(),
            name: name.into(),
        })
    }

    /// Whether the member with this key is looked at.
    pub(crate) fn takes(&self, key: &[u8]) -> bool {
        self.selector.selects(key) && !self.without.iter().any(|without| without.selects(key))
    }
}

/// Leaves `excluded` out of `targets`; says whether anything of it was there.
pub(crate) fn exclude(targets: &mut Vec<Target>, excluded: &RawTarget) -> Result<bool, String> {
    let gone = Target::compile(excluded)?;
    let mut touched = false;
    targets.retain_mut(|target| {
        if target.variable != gone.variable || target.counted {
            return true;
        }
        touched = true;
        let same = target.name.eq_ignore_ascii_case(&gone.name);
        if same || matches!(gone.selector, Selector::All) {
            return false;
        }
        target.without.push(gone.selector.clone());
        true
    });
    Ok(touched)
}
