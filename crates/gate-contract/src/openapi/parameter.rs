//! Parameters: where they are, how they are written.

use super::read::Reader;
use super::security::texts;
use gate_model::document::{Node, Path, Span};

/// A parameter of an operation, or a header of a response.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name, as written.
    pub name: String,
    /// Where it is.
    pub place: ParameterPlace,
    /// Where it stands in the document, references followed.
    pub at: Path,
    /// Its place in the file.
    pub span: Span,
    /// `description`; empty when there is none.
    pub description: String,
    /// Whether a request without it is refused. Always true in paths.
    pub required: bool,
    /// Whether callers should stop sending it.
    pub deprecated: bool,
    /// How arrays and objects are written.
    pub style: Style,
    /// Whether they are written as several parameters.
    pub explode: bool,
    /// Whether reserved characters may stand unencoded (query only).
    pub allow_reserved: bool,
    /// Whether `name=` and a bare `name` count as no value (query only).
    pub allow_empty: bool,
    /// Path of its schema, references not followed.
    pub schema: Option<Path>,
    /// Media type of its value, where it is described by `content` and not by a style.
    pub content: Option<String>,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParameterPlace {
    /// In the path.
    Path,
    /// In the query.
    Query,
    /// In a header.
    Header,
    /// In a cookie.
    Cookie,
}

impl ParameterPlace {
    /// The word for it in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

/// How a parameter's value is written (OpenAPI 3.1.1, section 4.8.12.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Style {
    /// `a,b`: paths and headers.
    Simple,
    /// `.a.b`: paths.
    Label,
    /// `;name=a,b`: paths.
    Matrix,
    /// `name=a,b`: queries and cookies.
    Form,
    /// `name=a%20b`: queries.
    SpaceDelimited,
    /// `name=a%7Cb`: queries.
    PipeDelimited,
    /// `name[key]=a`: queries.
    DeepObject,
}

impl Style {
    /// The style of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Style> {
        Some(match name {
            "simple" => Style::Simple,
            "label" => Style::Label,
            "matrix" => Style::Matrix,
            "form" => Style::Form,
            "spaceDelimited" => Style::SpaceDelimited,
            "pipeDelimited" => Style::PipeDelimited,
            "deepObject" => Style::DeepObject,
            _ => return None,
        })
    }

    /// The name in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Style::Simple => "simple",
            Style::Label => "label",
            Style::Matrix => "matrix",
            Style::Form => "form",
            Style::SpaceDelimited => "spaceDelimited",
            Style::PipeDelimited => "pipeDelimited",
            Style::DeepObject => "deepObject",
        }
    }

    const fn usual(place: ParameterPlace) -> Style {
        match place {
            ParameterPlace::Path | ParameterPlace::Header => Style::Simple,
            ParameterPlace::Query | ParameterPlace::Cookie => Style::Form,
        }
    }

    const fn fits(self, place: ParameterPlace) -> bool {
        match place {
            ParameterPlace::Path => matches!(self, Style::Simple | Style::Label | Style::Matrix),
            ParameterPlace::Header => matches!(self, Style::Simple),
            ParameterPlace::Cookie => matches!(self, Style::Form),
            ParameterPlace::Query => matches!(
                self,
                Style::Form | Style::SpaceDelimited | Style::PipeDelimited | Style::DeepObject
            ),
        }
    }
}

impl Reader<'_> {
    /// The parameter that stands at `path`, after references.
    pub(super) fn parameter(&mut self, path: &Path) -> Option<Parameter> {
        let (at, node) = self.follow(path)?;
        let name = self.required_text(node, &at, "name")?;
        let place = match self.required_text(node, &at, "in")?.as_str() {
            "path" => ParameterPlace::Path,
            "query" => ParameterPlace::Query,
            "header" => ParameterPlace::Header,
            "cookie" => ParameterPlace::Cookie,
            other => {
                self.report(&at.key("in"), format!("a parameter cannot be in `{other}`"));
                return None;
            }
        };
        self.described(node, at, name, place)
    }

    /// A header of a response, which says neither `name` nor `in`.
    pub(super) fn header(&mut self, path: &Path, name: &str) -> Option<Parameter> {
        let (at, node) = self.follow(path)?;
        self.described(node, at, name.to_owned(), ParameterPlace::Header)
    }

    fn described(
        &mut self,
        node: &Node,
        at: Path,
        name: String,
        place: ParameterPlace,
    ) -> Option<Parameter> {
        let mut style = Style::usual(place);
        if let Some(text) = self.text(node, &at, "style") {
            match Style::of(&text).filter(|style| style.fits(place)) {
                Some(known) => style = known,
                None => {
                    let message = format!("a {} parameter has no style `{text}`", place.as_str());
                    self.report(&at.key("style"), message);
                    return None;
                }
            }
        }
        let content = node
            .get("content")
            .and_then(|content| content.entries().first());
        let schema = match content {
            Some((media, one)) => {
                let at = at.key("content").key(&media.text).key("schema");
                one.get("schema").map(|_| at)
            }
            None => node.get("schema").map(|_| at.key("schema")),
        };
        let required = self.flag(node, &at, "required").unwrap_or(false);
        if place == ParameterPlace::Path && !required {
            self.report(&at, "a path parameter says `required: true`");
        }
        Some(Parameter {
            required: required || place == ParameterPlace::Path,
            deprecated: self.flag(node, &at, "deprecated").unwrap_or(false),
            explode: self
                .flag(node, &at, "explode")
                .unwrap_or(matches!(style, Style::Form)),
            allow_reserved: self.flag(node, &at, "allowReserved").unwrap_or(false),
            allow_empty: self.flag(node, &at, "allowEmptyValue").unwrap_or(false),
            description: self.text(node, &at, "description").unwrap_or_default(),
            content: content.map(|(media, _)| media.text.clone()),
            span: node.span,
            schema,
            style,
            place,
            name,
            at,
        })
    }

    /// The tags of an operation.
    pub(super) fn tags(&self, node: &Node) -> Vec<String> {
        node.get("tags").map(texts).unwrap_or_default()
    }
}
