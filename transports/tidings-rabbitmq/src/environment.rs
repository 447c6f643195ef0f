//! Settings from the environment: the variables that deployments of petisco set already.

use std::time::Duration;

use tidings_core::Result;

use crate::{config::RabbitMqConfig, error::misuse};

impl RabbitMqConfig {
    /// Reads `RABBITMQ_HOST`, `RABBITMQ_PORT`, `RABBITMQ_USER`, `RABBITMQ_PASSWORD` and `RABBITMQ_HEARTBEAT`, as petisco does.
    /// What is not set has its default.
    ///
    /// # Errors
    /// [`Misuse`](tidings_core::ErrorKind::Misuse) that names the variable whose value is no number.
    #[expect(
        clippy::disallowed_methods,
        reason = "the variables that petisco's deployments set are read here and nowhere else"
    )]
    pub fn from_env() -> Result<Self> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Self::from_env), from whatever knows the variables.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_lookup(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let number = |name, most: u64| {
            let Some(value) = variable(name) else {
                return Ok(None);
            };
            let number = value
                .parse()
                .ok()
                .filter(|number| (1..=most).contains(number));
            number.map(Some).ok_or_else(|| {
                misuse(format!(
                    "the variable {name} is `{value}`: set it to a number from 1 to {most}"
                ))
            })
        };
        let mut config = Self::default();
        if let Some(host) = variable("RABBITMQ_HOST") {
            config.host = host;
        }
        if let Some(port) = number("RABBITMQ_PORT", 65_535)? {
            config.port = u16::try_from(port).unwrap_or(config.port);
        }
        if let Some(user) = variable("RABBITMQ_USER") {
            config.user = user;
        }
        if let Some(password) = variable("RABBITMQ_PASSWORD") {
            config.password = password.into();
        }
        if let Some(seconds) = number("RABBITMQ_HEARTBEAT", 65_535)? {
            config.heartbeat = Duration::from_secs(seconds);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use tidings_core::ErrorKind;

    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<RabbitMqConfig> {
        RabbitMqConfig::from_lookup(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_environment_of_petisco_is_read() {
        assert_eq!(from(&[]).unwrap(), RabbitMqConfig::default());
        let set = [
            ("RABBITMQ_HOST", "mq"),
            ("RABBITMQ_PORT", "7"),
            ("RABBITMQ_USER", "orders"),
            ("RABBITMQ_PASSWORD", "p@ss/word"),
            ("RABBITMQ_HEARTBEAT", "60"),
        ];
        let mut expected = RabbitMqConfig::default()
            .with_host("mq", 7)
            .with_credentials("orders", "p@ss/word");
        expected.heartbeat = Duration::from_secs(60);
        assert_eq!(from(&set).unwrap(), expected);
        assert_eq!(from(&[("RABBITMQ_PORT", "")]).unwrap().port, 5672);
    }

    #[test]
    fn a_variable_that_is_no_number_is_named() {
        for (name, value) in [
            ("RABBITMQ_PORT", "65536"),
            ("RABBITMQ_PORT", "0"),
            ("RABBITMQ_HEARTBEAT", "1m"),
        ] {
            let error = from(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misuse);
            let text = error.to_string();
            assert!(text.contains(name) && text.contains(value), "{text}");
        }
    }
}
