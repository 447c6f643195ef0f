//! What can be said in `#[event(…)]` and `#[command(…)]`.

use std::fmt;

use syn::{
    Attribute, Error, LitInt, LitStr, Path, Result, Token, meta::ParseNestedMeta, token::Paren,
};

/// The settings of one derive.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<u32>,
    pub(crate) krate: Option<Path>,
    lax: Option<()>,
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

    /// Whether numbers and booleans may be spelled in other ways.
    pub(crate) fn is_lax(&self) -> bool {
        self.lax.is_some()
    }

    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("name") {
            once(&mut self.name, meta, |meta| {
                Ok(checked_name(meta, "a message")?.value())
            })
        } else if meta.path.is_ident("lax") {
            once(&mut self.lax, meta, flag)
        } else if meta.path.is_ident("version") {
            once(&mut self.version, meta, any_version)
        } else if meta.path.is_ident("crate") {
            once(&mut self.krate, meta, |meta| meta.value()?.parse())
        } else {
            Err(meta
                .error("unknown setting: use `name = \"…\"`, `version = …`, `lax` or `crate = …`"))
        }
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Sets what has not been set yet: of two values, which one counts would be a guess.
pub(crate) fn once<T>(
    slot: &mut Option<T>,
    meta: &ParseNestedMeta<'_>,
    parse: impl FnOnce(&ParseNestedMeta<'_>) -> Result<T>,
) -> Result<()> {
    if slot.is_some() {
        return Err(meta.error("said twice: keep one of the two"));
    }
    *slot = Some(parse(meta)?);
    Ok(())
}

/// A setting that is said or not.
pub(crate) fn flag(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) || meta.input.peek(Paren) {
        return Err(meta.error("this setting has no value: say it or leave it out"));
    }
    Ok(())
}

/// Any version is a version, 0 included: services that exist already may have chosen it.
fn any_version(meta: &ParseNestedMeta<'_>) -> Result<u32> {
    let version: LitInt = meta.value()?.parse()?;
    version.base10_parse().map_err(|_| {
        let message = format!("a version is a whole number from 0 to {}", u32::MAX);
        Error::new(version.span(), message)
    })
}

/// A name becomes part of routing keys and queue names, so what would break those is refused here.
pub(crate) fn checked_name(meta: &ParseNestedMeta<'_>, owner: &str) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    let text = name.value();
    if text.is_empty() {
        return Err(Error::new(name.span(), format!("{owner} needs a name")));
    }
    if let Some(c) = text
        .chars()
        .find(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '#'))
    {
        let message = format!(
            "{c:?} cannot be part of the name of {owner}: use letters, digits, `.` and `_`"
        );
        return Err(Error::new(name.span(), message));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::Attributes;

    fn parse(attribute: &str) -> Result<(Option<String>, Option<u32>), String> {
        let input = format!("{attribute} struct Message {{}}");
        let input: syn::DeriveInput = syn::parse_str(&input).unwrap();
        Attributes::parse(&input.attrs, "event")
            .map(|parsed| (parsed.name, parsed.version))
            .map_err(|error| error.to_string())
    }

    fn check(attribute: &str, name: Option<&str>, version: Option<u32>) {
        let expected = Ok((name.map(str::to_owned), version));
        assert_eq!(parse(attribute), expected, "{attribute}");
    }

    fn refuses(attribute: &str, expected: &str) {
        let message = parse(attribute).unwrap_err();
        assert!(message.contains(expected), "{attribute}: {message}");
    }

    #[test]
    fn reads_name_and_version() {
        check("", None, None);
        check("#[event()]", None, None);
        check(
            "#[event(name = \"a.b\", version = 2,)]",
            Some("a.b"),
            Some(2),
        );
        check(
            "#[event(name = \"a.b\")] #[event(version = 2)]",
            Some("a.b"),
            Some(2),
        );
        check("#[event(name = \"userñandu\")]", Some("userñandu"), None);
        check(
            "#[serde(rename = \"x\")] #[event(version = 3)]",
            None,
            Some(3),
        );
        check("#[command(name = \"of.another.derive\")]", None, None);
    }

    #[test]
    fn lax_is_said_or_not() {
        let is_lax = |attribute: &str| {
            let input = format!("{attribute} struct Message {{}}");
            let input: syn::DeriveInput = syn::parse_str(&input).unwrap();
            Attributes::parse(&input.attrs, "event").unwrap().is_lax()
        };
        assert!(is_lax("#[event(lax, version = 2)]") && !is_lax("#[event(version = 2)]"));
        refuses("#[event(lax = true)]", "no value");
    }

    #[test]
    fn reads_every_whole_number_as_a_version() {
        check("#[event(version = 0)]", None, Some(0));
        check("#[event(version = 2_u8)]", None, Some(2));
        check("#[event(version = 4294967295)]", None, Some(u32::MAX));
        refuses("#[event(version = 4294967296)]", "from 0 to 4294967295");
        refuses("#[event(version = 1.5)]", "expected integer literal");
        refuses("#[event(version = -1)]", "from 0 to 4294967295");
    }

    #[test]
    fn refuses_names_that_break_routing_keys() {
        for bad in ["a b", "a*", "#", "a\tb", "a\u{0}", "a\u{a0}b"] {
            refuses(&format!("#[event(name = {bad:?})]"), "cannot be part");
        }
        refuses("#[event(name = \"\")]", "needs a name");
    }

    #[test]
    fn refuses_what_is_said_twice() {
        refuses("#[event(name = \"a\", name = \"a\")]", "said twice");
        refuses("#[event(version = 1)] #[event(version = 2)]", "said twice");
        refuses("#[event(crate = a, crate = b)]", "said twice");
        refuses("#[event(lax, lax)]", "said twice");
    }
}
