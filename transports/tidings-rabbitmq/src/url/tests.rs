//! Tables for the URL of a broker.

use std::time::Duration;

use tidings_core::ErrorKind;

use super::*;
use crate::{config::QueueType, management::ManagementUrl};

fn read_as(url: &str, expected: impl Into<RabbitMqConfig>) {
    assert_eq!(read(url).unwrap(), expected.into(), "{url}");
}

fn tls() -> RabbitMqConfig {
    RabbitMqConfig::default()
        .with_host("localhost", 5671)
        .with_tls(TlsConfig::default())
}

fn check_refused(url: &str, mentions: &[&str]) {
    let error = read(url).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse, "{url}");
    for word in mentions {
        let text = error.to_string();
        assert!(text.contains(word), "{url}: `{text}` does not say `{word}`");
        assert!(!text.contains("s3c"), "{url}: `{text}` shows the password");
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let local = RabbitMqConfig::default;
    read_as("amqp://", local());
    read_as("amqp://localhost", local());
    read_as("amqp://localhost:5672?", local());
    read_as("amqp://mq:7", local().with_host("mq", 7));
    read_as("amqp://[::1]", local().with_host("::1", 5672));
    read_as("amqps://", tls());
    read_as("amqps://[fd00::1]:7", tls().with_host("fd00::1", 7));
    read_as(
        "amqp://orders@mq",
        local().with_host("mq", 5672).with_credentials("orders", ""),
    );
}

#[test]
fn credentials_and_virtual_hosts_are_decoded() {
    let check = |url, user, password, vhost| {
        let expected = RabbitMqConfig::default()
            .with_host("mq", 5672)
            .with_credentials(user, password)
            .with_vhost(vhost);
        read_as(url, expected);
    };
    check("amqp://u:p@mq", "u", "p", "/");
    check("amqp://u:p@mq/%2f", "u", "p", "/");
    check("amqp://u:p@mq/shop", "u", "p", "shop");
    check("amqp://u:p@mq/a%2Fb%40c", "u", "p", "a/b@c");
    check("amqp://u%40x:p%3A%2F%23@mq/a.b", "u@x", "p:/#", "a.b");
    check("amqp://u:p:q@mq", "u", "p:q", "/");
    check("amqp://u:p@ss@mq", "u", "p@ss", "/");
}

#[test]
fn a_virtual_host_is_not_guessed() {
    check_refused("amqp://mq/", &["slash at its end", "leave the slash out"]);
    check_refused("amqp://mq/?window=1", &["slash at its end"]);
    check_refused("amqp://mq/a/b", &["%2F"]);
    check_refused("amqp://mq/%zz", &["%25"]);
}

#[test]
fn what_is_no_url_is_said_without_the_password() {
    for url in [
        "amqp:localhost",
        "http://u:s3cret@mq",
        "localhost:5672",
        "amqp://u:s3cret@mq:port",
        "amqp://u:s3cret@mq:0",
        "amqp://u:s3cret@[::1",
        "amqp://u:s3cret%@mq",
        "amqp://:s3cret@mq",
        "amqp://u:s3c/ret@mq",
        "amqp://u:s3c?ret@mq",
        "amqp://u:1?s3c=x@mq",
        "amqp://u:s3c#ret@mq",
        "amqp://u:s3cret@mq/a@b",
    ] {
        check_refused(url, &["amqp://USER:PASSWORD@HOST:5672/VHOST"]);
    }
}

#[test]
fn options_are_read() {
    let mut all = RabbitMqConfig::default().with_name("orders@host 1");
    all.heartbeat = Duration::from_secs(5);
    all.connection_timeout = Duration::from_millis(700);
    all.channel_max = Some(99);
    all.auth_mechanism = AuthMechanism::AmqPlain;
    all.confirm_timeout = Duration::from_millis(1_500);
    all.window = 7;
    all.queue_type = QueueType::Quorum;
    all.wait = Duration::from_secs(60);
    all.management = Some(ManagementUrl::from_url("http://a:b@mq:80").unwrap());
    read_as(
        "amqp://localhost?name=orders@host%201&heartbeat=5&connection_timeout=700&channel_max=99&auth_mechanism=amqplain\
         &confirm_timeout_ms=1500&window=7&queue_type=quorum&wait_s=60&management=http://a:b@mq:80",
        all.clone(),
    );
    all.auth_mechanism = AuthMechanism::Plain;
    read_as(
        "amqp://?management=http%3A%2F%2Fa%3Ab%40mq%3A80&wait_s=60&queue_type=quorum&window=7&confirm_timeout_ms=1500\
         &auth_mechanism=PLAIN&channel_max=99&connection_timeout=700&heartbeat=5&name=orders%40host%201",
        all,
    );
}

#[test]
fn tls_options_are_read() {
    let mut shown = tls();
    shown.tls = Some(
        TlsConfig::default()
            .with_ca_file("/ca.pem")
            .with_certificate("c.pem", "k.pem")
            .with_server_name("mq"),
    );
    shown.auth_mechanism = AuthMechanism::External;
    let options = "cacertfile=/ca.pem&keyfile=k.pem&certfile=c.pem&server_name_indication=mq&verify=verify_peer";
    read_as(&format!("amqps://?{options}"), shown.clone());
    // Who names a user is that user, and shows the certificate besides.
    shown.auth_mechanism = AuthMechanism::Plain;
    read_as(&format!("amqps://guest:guest@?{options}"), shown.clone());
    read_as(&format!("amqps://?{options}&auth_mechanism=plain"), shown);

    let mut one_file = tls().with_tls(TlsConfig::default().with_certificate("c.pem", "c.pem"));
    one_file.auth_mechanism = AuthMechanism::External;
    read_as("amqps://?certfile=c.pem", one_file);
    check_refused("amqps://?keyfile=k.pem", &["`certfile`"]);
    check_refused("amqps://?cacertfile=", &["cacertfile="]);
    check_refused("amqps://?verify=verify_none", &["cacertfile", "pose"]);
    check_refused("amqp://?cacertfile=/ca.pem", &["`amqps:`"]);
}

#[test]
fn the_value_of_an_unknown_option_is_not_shown() {
    let error = RabbitMqConfig::from_url("amqp://mq?pasword=s3cret").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`pasword`") && !text.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn wrong_options_name_the_right_ones() {
    for option in [
        "colour",
        "heartbeat",
        "heartbeat=0",
        "heartbeat=fast",
        "heartbeat=65536",
        "connection_timeout=0",
        "connection_timeout=-1",
        "channel_max=0",
        "channel_max=65536",
        "auth_mechanism=magic",
        "confirm_timeout_ms=0",
        "window=0",
        "window=65536",
        "queue_type=stream",
        "wait_s=1h",
        "name=",
    ] {
        check_refused(
            &format!("amqp://u:s3cret@mq?{option}"),
            &[
                option,
                "heartbeat",
                "`classic` or `quorum`",
                "window",
                "cacertfile",
            ],
        );
    }
    check_refused("amqp://mq?window=1&window=2", &["`window`", "twice"]);
    check_refused("amqp://mq?window=%", &["`window`", "%25"]);
    check_refused(
        "amqp://mq?management=mq",
        &["management", "http://HOST:15672"],
    );
}
