//! The default name of a message, made from the name of its type.
//!
//! The rule is that of the domain wire: only ASCII capitals split, every one of them does, and every
//! underscore of the result becomes a dot.

/// `UserCreated` becomes `user.created`.
pub(crate) fn message_name(ident: &str) -> String {
    let mut snake = String::with_capacity(ident.len() + 8);
    for (index, c) in ident.chars().enumerate() {
        if index > 0 && c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c);
    }
    snake.to_lowercase().replace('_', ".")
}

#[cfg(test)]
mod tests {
    use super::message_name;

    fn check(ident: &str, expected: &str) {
        assert_eq!(message_name(ident), expected, "{ident}");
    }

    #[test]
    fn splits_before_every_ascii_capital() {
        check("UserCreated", "user.created");
        check("HTTPServerStarted", "h.t.t.p.server.started");
        check("User2FAEnabled", "user2.f.a.enabled");
        check("User_Created", "user..created");
        check("_Private", "..private");
        check("userCreated", "user.created");
        check("UserÑandu", "userñandu");
    }
}
