//! What can be said in `#[event(…)]` and `#[command(…)]`.

use syn::{Attribute, LitInt, LitStr, Path, Result, meta::ParseNestedMeta};

/// The settings of one derive.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) name: Option<LitStr>,
    pub(crate) version: Option<LitInt>,
    pub(crate) krate: Option<Path>,
}

impl Attributes {
    /// Reads every `#[<attribute>(…)]` of the type.
    pub(crate) fn parse(attributes: &[Attribute], attribute: &str) -> Result<Self> {
        let mut parsed = Self::default();
        for found in attributes
            .iter()
            .filter(|found| found.path().is_ident(attribute))
        {
            found.parse_nested_meta(|meta| parsed.set(&meta))?;
        }
        Ok(parsed)
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("name") {
            self.name = Some(checked_name(meta.value()?.parse()?)?);
        } else if meta.path.is_ident("version") {
            let version: LitInt = meta.value()?.parse()?;
            version.base10_parse::<u32>()?;
            self.version = Some(version);
        } else if meta.path.is_ident("crate") {
            self.krate = Some(meta.value()?.parse()?);
        } else {
            return Err(
                meta.error("unknown setting: use `name = \"…\"`, `version = …` or `crate = …`")
            );
        }
        Ok(())
    }
}

/// A name becomes part of routing keys and queue names, so what would break those is refused here.
fn checked_name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    if text.is_empty() {
        return Err(syn::Error::new(name.span(), "a message needs a name"));
    }
    if let Some(c) = text
        .chars()
        .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '#'))
    {
        let message =
            format!("`{c}` cannot be part of a message name: use letters, digits, `.` and `_`");
        return Err(syn::Error::new(name.span(), message));
    }
    Ok(name)
}
