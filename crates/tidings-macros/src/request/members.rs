//! The members of a request as they are written on the wire.
//!
//! A lock or a secret that names no member would silently protect nothing, so it is refused while compiling. Members are
//! named as serde reads them; what is inside a member is another type, which a derive cannot see.

use proc_macro2::Span;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Field, Fields, LitStr, Result, Token,
    ext::IdentExt as _, meta::ParseNestedMeta,
};

/// The members of a struct with named fields; of anything else nothing is known.
pub(crate) struct Members {
    owner: String,
    known: Option<Vec<Member>>,
    /// A field whose own members are members here.
    has_flattened: bool,
}

/// One member.
pub(crate) struct Member {
    /// The field that holds it.
    pub(crate) field: syn::Ident,
    written: String,
    is_read: bool,
}

impl Members {
    /// Looks at the fields of a type.
    pub(crate) fn of(input: &DeriveInput) -> Self {
        let owner = input.ident.unraw().to_string();
        let Data::Struct(data) = &input.data else {
            return Self {
                owner,
                known: None,
                has_flattened: false,
            };
        };
        let Fields::Named(fields) = &data.fields else {
            return Self {
                owner,
                known: None,
                has_flattened: false,
            };
        };
        let rule = Said::of(&input.attrs).rename_all;
        let fields: Vec<_> = fields
            .named
            .iter()
            .map(|field| (field, Said::of(&field.attrs)))
            .collect();
        let has_flattened = fields.iter().any(|(_, said)| said.is_flattened);
        let members = fields.iter().filter(|(_, said)| !said.is_flattened);
        let known = members
            .filter_map(|(field, said)| Member::of(field, said, rule.as_deref()))
            .collect();
        Self {
            owner,
            known: Some(known),
            has_flattened,
        }
    }

    /// The member that a lock names.
    pub(crate) fn lock(&self, name: &LitStr) -> Result<&Member> {
        if self.known.is_none() {
            let message = format!(
                "`{}` has no members by name: leave `lock` out for one request at a time, or say `lock = off`",
                self.owner
            );
            return Err(Error::new(name.span(), message));
        }
        let found = self.find(&name.value(), name.span())?;
        found.ok_or_else(|| {
            let message = format!(
                "`{}` may come from a flattened field, which cannot be looked into here: \
                 make it a field of `{}` itself",
                name.value(),
                self.owner
            );
            Error::new(name.span(), message)
        })
    }

    /// Refuses a path whose first step leads nowhere.
    pub(crate) fn check_secret(&self, path: &LitStr) -> Result<()> {
        let text = path.value();
        let first = text.split('.').next().unwrap_or_default();
        self.find(first, path.span()).map(drop)
    }

    /// The member of this name; `None` if there may be one that is not seen here.
    fn find(&self, name: &str, span: Span) -> Result<Option<&Member>> {
        let Some(known) = &self.known else {
            return Ok(None);
        };
        if let Some(member) = known.iter().find(|member| member.written == name) {
            return if member.is_read {
                Ok(Some(member))
            } else {
                let message =
                    format!("`{name}` is skipped when a request is read: no caller can set it");
                Err(Error::new(span, message))
            };
        }
        if let Some(member) = known.iter().find(|member| member.field.unraw() == name) {
            let message = format!("callers write `{name}` as `{}`: name it so", member.written);
            return Err(Error::new(span, message));
        }
        if self.has_flattened {
            return Ok(None);
        }
        let message = format!("`{name}` is no member of `{}`{}", self.owner, listed(known));
        Err(Error::new(span, message))
    }
}

/// What there is instead.
fn listed(known: &[Member]) -> String {
    let names: Vec<_> = known
        .iter()
        .filter(|member| member.is_read)
        .map(|member| format!("`{}`", member.written))
        .collect();
    match names.as_slice() {
        [] => ", which has none".into(),
        [only] => format!(": it has {only}"),
        [first @ .., last] => format!(": it has {} and {last}", first.join(", ")),
    }
}

impl Member {
    fn of(field: &Field, said: &Said, rule: Option<&str>) -> Option<Self> {
        let ident = field.ident.clone()?;
        let name = ident.unraw().to_string();
        let written = said.rename.clone().unwrap_or_else(|| renamed(rule, name));
        Some(Self {
            field: ident,
            written,
            is_read: !said.is_skipped,
        })
    }
}

/// What `#[serde(…)]` says about reading; what is wrong with it serde itself reports.
#[derive(Default)]
struct Said {
    rename: Option<String>,
    rename_all: Option<String>,
    is_skipped: bool,
    is_flattened: bool,
}

impl Said {
    fn of(attributes: &[Attribute]) -> Self {
        let mut said = Self::default();
        let is_serdes = |found: &&Attribute| found.path().is_ident("serde");
        for found in attributes.iter().filter(is_serdes) {
            // What is not understood here is not understood by serde either, whose derive says why.
            if found.parse_nested_meta(|meta| said.note(&meta)).is_err() {
                break;
            }
        }
        said
    }

    fn note(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("rename") {
            self.rename = name_for_reading(meta)?;
        } else if meta.path.is_ident("rename_all") {
            self.rename_all = name_for_reading(meta)?;
        } else if meta.path.is_ident("skip") || meta.path.is_ident("skip_deserializing") {
            self.is_skipped = true;
        } else if meta.path.is_ident("flatten") {
            self.is_flattened = true;
        } else {
            pass_over(meta)?;
        }
        Ok(())
    }
}

/// `= "name"`, or `(deserialize = "name")` beside a name for writing.
fn name_for_reading(meta: &ParseNestedMeta<'_>) -> Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse::<LitStr>()?.value()));
    }
    let mut name = None;
    meta.parse_nested_meta(|meta| {
        let text: LitStr = meta.value()?.parse()?;
        if meta.path.is_ident("deserialize") {
            name = Some(text.value());
        }
        Ok(())
    })?;
    Ok(name)
}

fn pass_over(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inside;
        syn::parenthesized!(inside in meta.input);
        inside.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

/// A field's name by one of serde's rules. Source: <https://serde.rs/container-attrs.html#rename_all>.
fn renamed(rule: Option<&str>, name: String) -> String {
    match rule {
        Some("UPPERCASE" | "SCREAMING_SNAKE_CASE") => name.to_ascii_uppercase(),
        Some("PascalCase") => pascal(&name),
        Some("camelCase") => {
            let pascal = pascal(&name);
            let (first, rest) = pascal.split_at(pascal.chars().next().map_or(0, char::len_utf8));
            first.to_ascii_lowercase() + rest
        }
        Some("kebab-case") => name.replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => name.to_ascii_uppercase().replace('_', "-"),
        _ => name,
    }
}

fn pascal(name: &str) -> String {
    let mut pascal = String::with_capacity(name.len());
    let mut begins = true;
    for c in name.chars() {
        match c {
            '_' => begins = true,
            _ if begins => {
                pascal.push(c.to_ascii_uppercase());
                begins = false;
            }
            _ => pascal.push(c),
        }
    }
    pascal
}

#[cfg(test)]
mod tests {
    use proc_macro2::Span;
    use syn::LitStr;

    use super::Members;

    const SITE: &str = "#[serde(rename_all = \"camelCase\", deny_unknown_fields)] struct Site { \
         server_name: String, #[serde(default = \"one\", rename = \"size\")] amount: u32, \
         #[serde(rename(serialize = \"out\", deserialize = \"in\"))] inside: u8, r#type: u8, #[serde(skip)] cache: u8 }";

    fn lock(item: &str, name: &str) -> Result<String, String> {
        let members = Members::of(&syn::parse_str(item).unwrap());
        let name = LitStr::new(name, Span::call_site());
        let found = members.lock(&name).map(|member| member.field.to_string());
        found.map_err(|error| error.to_string())
    }

    fn check(item: &str, name: &str, field: &str) {
        assert_eq!(lock(item, name).as_deref(), Ok(field), "{name}");
    }

    fn refuses(item: &str, name: &str, expected: &str) {
        let message = lock(item, name).unwrap_err();
        assert!(message.contains(expected), "{name}: {message}");
    }

    #[test]
    fn a_member_is_named_as_callers_write_it() {
        check(SITE, "serverName", "server_name");
        check(SITE, "size", "amount");
        check(SITE, "in", "inside");
        check(SITE, "type", "r#type");
    }

    #[test]
    fn every_rule_of_serde_is_known() {
        for (rule, written) in [
            ("lowercase", "my_name2"),
            ("UPPERCASE", "MY_NAME2"),
            ("PascalCase", "MyName2"),
            ("camelCase", "myName2"),
            ("snake_case", "my_name2"),
            ("SCREAMING_SNAKE_CASE", "MY_NAME2"),
            ("kebab-case", "my-name2"),
            ("SCREAMING-KEBAB-CASE", "MY-NAME2"),
        ] {
            let item = format!("#[serde(rename_all = \"{rule}\")] struct A {{ my_name2: u8 }}");
            check(&item, written, "my_name2");
        }
    }

    #[test]
    fn a_name_that_leads_nowhere_is_refused() {
        refuses(
            SITE,
            "server_name",
            "callers write `server_name` as `serverName`",
        );
        refuses(SITE, "cache", "no caller can set it");
        refuses(
            SITE,
            "nmae",
            "`nmae` is no member of `Site`: it has `serverName`, `size`, `in` and `type`",
        );
        refuses("struct A {}", "a", "which has none");
        refuses("struct A { b: u8 }", "a", ": it has `b`");
        refuses("enum A { B { c: u8 } }", "c", "no members by name");
        refuses("struct A(B);", "0", "no members by name");
        let flattened = "struct A { #[serde(flatten)] rest: B, c: u8 }";
        check(flattened, "c", "c");
        refuses(flattened, "d", "flattened");
    }

    #[test]
    fn a_secret_begins_with_a_member() {
        let check = |item: &str, path: &str| {
            let members = Members::of(&syn::parse_str(item).unwrap());
            let checked = members.check_secret(&LitStr::new(path, Span::call_site()));
            checked.map_err(|error| error.to_string())
        };
        assert_eq!(check(SITE, "serverName.inside"), Ok(()));
        assert!(check(SITE, "server.inside").is_err());
        assert_eq!(check("enum A { B { c: u8 } }", "c"), Ok(()));
        assert_eq!(check("struct A { #[serde(flatten)] rest: B }", "c"), Ok(()));
    }
}
