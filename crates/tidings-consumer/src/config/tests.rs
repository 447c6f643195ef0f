//! Configuration files as people write them, and what is said about each.

use std::io;

use super::*;

const SERVER: &str = "server: {host: h, port: 5672, username: u, password: p, ssl: no}\n";

const HOST: &str =
    "virtual_hosts: {v: {queue: q, fernet_key: null, exchanges: {e: {type: direct}}}}\n";

fn parse(text: &str) -> Result<File> {
    let surroundings = Surroundings {
        variable: &|name| (name == "SET").then(|| "s3cret".to_owned()),
        content: &|_| Err(io::ErrorKind::NotFound.into()),
        folder: Path::new("/"),
    };
    File::parse("c.yml", text, surroundings)
}

fn select(text: &str) -> Result<(Config, Vec<String>)> {
    parse(text)?.select(None)
}

/// The complaints that keep the file from being used.
fn check_refused(text: &str, expected: &[&str]) {
    let error = select(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert_eq!(error.to_string(), expected.join("\n"), "{text}");
}

/// The complaints that do not.
fn check_odd(text: &str, expected: &[&str]) {
    let (_, odd) = select(text).unwrap();
    assert_eq!(odd, expected, "{text}");
}

#[test]
fn a_whole_file_is_read() {
    let text = "
mock: on
default_user: root
resources: {memory_limit: null, cpu_limit: null}
server:
  host: rabbitmq.example.com
  port: 5671
  username: test
  password: $env:SET
  ssl: yes
log_server:
  base_url: https://logs.example.com/api/v1/
  api_token: foobar
virtual_hosts:
  servers:
    queue: web1.example.com
    fernet_key: [AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=]
    fernet_ttl: 300
    fernet_strict: true
    max_simultaneous_requests: 0
    exchanges:
      dx_create_server: {type: direct}
      dx_delete_server:
        type: direct
  /:
    queue: q
    exchanges: {}
";
    let (config, _) = parse(text).unwrap().select(Some("servers")).unwrap();
    assert!(config.mock && config.server.ssl);
    assert_eq!(config.server.password.reveal(), "s3cret");
    let log_server = config.log_server.unwrap();
    assert_eq!(log_server.base_url, "https://logs.example.com/api/v1/");
    let [host] = &config.virtual_hosts[..] else {
        panic!("{:?}", config.virtual_hosts);
    };
    assert_eq!((&*host.name, &*host.queue), ("servers", "web1.example.com"));
    let keys: Vec<_> = host.fernet_keys.iter().map(Secret::reveal).collect();
    assert_eq!(
        keys,
        [
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
        ]
    );
    assert_eq!(host.fernet_ttl, Some(Duration::from_secs(300)));
    assert!(host.fernet_strict);
    assert_eq!(host.max_simultaneous_requests, 0);
    assert_eq!(host.exchanges, ["dx_create_server", "dx_delete_server"]);

    let (config, _) = select(text).unwrap();
    let names: Vec<_> = config
        .virtual_hosts
        .iter()
        .map(|host| &*host.name)
        .collect();
    assert_eq!(names, ["servers", "/"]);
    assert_eq!(config.virtual_hosts[1].max_simultaneous_requests, 5);
    assert!(config.virtual_hosts[1].fernet_keys.is_empty());
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    check_refused(
        "server:\n  host: h\n  port: x\n  pasword: p\n  ssl: 'yes'\nvirtual_hosts:\n  v:\n    queue: 12\n    exchanges:\n      e: {type: topic}\n      f:\n",
        &[
            "c.yml:2:3: `server.username` is missing: add it, for example `username: guest`",
            "c.yml:2:3: `server.password` is missing: add it, for example `password: $env:NAME`",
            "c.yml:3:9: `server.port` must be a whole number from 1 to 65535",
            "c.yml:4:3: `server.pasword` is not known: did you mean `password`?",
            "c.yml:5:8: `server.ssl` is text: write `true` or `false`, without quotes",
            "c.yml:8:12: `virtual_hosts.v.queue` is a number as it stands: put it in quotes",
            "c.yml:10:17: `virtual_hosts.v.exchanges.e.type` must be `direct`: only such an exchange brings a reply to who asked, and no client declares another",
            "c.yml:11:8: `virtual_hosts.v.exchanges.f` is empty, and must be a mapping such as `type: direct`",
        ],
    );
    check_refused(
        "[]",
        &["c.yml:1:1: is a list, and must be a mapping such as `server: {host: localhost, …}`"],
    );
    check_refused(
        "{}",
        &[
            "c.yml:1:1: `server` is missing: add it, for example `server: {host: localhost, …}`",
            "c.yml:1:1: `virtual_hosts` is missing: add it, for example `virtual_hosts: {servers: {queue: web1, …}}`",
        ],
    );
    check_refused(
        &format!("{SERVER}{HOST}log_server: {{base_url: logs, api_token: t, timeout: 3}}\n"),
        &[
            "c.yml:3:24: `log_server.base_url` must be a URL such as `https://logs.example.com/api/v1/`",
            "c.yml:3:44: `log_server.timeout` is not known: known are `base_url`, `api_token`",
        ],
    );
}

#[test]
fn what_python_ignores_is_only_warned_about() {
    check_odd(&format!("{SERVER}{HOST}"), &[]);
    check_odd(
        &format!("{SERVER}{HOST}mok: true\n"),
        &["c.yml:3:1: `mok` is not known and has no effect: did you mean `mock`?"],
    );
    check_odd(
        &format!("{SERVER}{HOST}default_user: www-data\nresources: {{memory_limit: 1G}}\n"),
        &[
            "c.yml:3:15: `default_user` has no effect: handlers run as the user of this process, which `User=` of its unit says",
            "c.yml:4:27: `resources.memory_limit` has no effect: set `MemoryMax=` in the unit of this process",
        ],
    );
    check_odd(
        &format!("{SERVER}{HOST}{SERVER}"),
        &["c.yml:3:1: `server` is there twice, first on line 1: the last one counts"],
    );
    check_odd(
        &format!(
            "{SERVER}virtual_hosts: {{v: {{queue: q, exchanges: {{on: {{type: direct, command: x}}}}}}}}\n"
        ),
        &[
            "c.yml:2:43: `virtual_hosts.v.exchanges.on` is no text as it stands, so that Python finds nothing under that name: put it in quotes",
            "c.yml:2:62: `virtual_hosts.v.exchanges.on.command` is not known and has no effect: known are `type`, `default_user`",
        ],
    );
}

#[test]
fn a_slip_of_the_key_of_keys_is_no_missing_key() {
    check_refused(
        &format!(
            "{SERVER}virtual_hosts: {{v: {{queue: q, fernet_keys: k, exchanges: {{e: {{type: direct}}}}}}}}\n"
        ),
        &[
            "c.yml:2:31: `virtual_hosts.v.fernet_key` is missing, and `fernet_keys` looks like a slip of it",
        ],
    );
}

#[test]
fn what_has_no_effect_is_told_beside_what_is_missing() {
    check_refused(
        &format!("{SERVER}virtual_hosts: {{v: {{quue: q, exchanges: {{e: {{type: direct}}}}}}}}\n"),
        &[
            "c.yml:2:20: `virtual_hosts.v.queue` is missing: add it, for example `queue: web1.example.com`",
            "c.yml:2:21: `virtual_hosts.v.quue` is not known and has no effect: did you mean `queue`?",
        ],
    );
}

#[test]
fn a_key_that_is_none_is_told_with_its_place_and_not_shown() {
    for (keys, place) in [
        (
            "hunter2",
            "c.yml:2:43: `virtual_hosts.v.fernet_key` cannot be used: ",
        ),
        (
            "[hunter2]",
            "c.yml:2:44: `virtual_hosts.v.fernet_key[0]` cannot be used: ",
        ),
    ] {
        let host = format!("{{queue: q, fernet_key: {keys}, exchanges: {{}}}}");
        let error = select(&format!("{SERVER}virtual_hosts: {{v: {host}}}\n")).unwrap_err();
        assert!(error.to_string().starts_with(place), "{error}");
        assert!(!error.chain().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_fault_in_a_virtual_host_that_is_not_served_is_a_warning() {
    let text = format!(
        "{SERVER}virtual_hosts:\n  good: {{queue: q, exchanges: {{}}}}\n  bad: {{queue: q, fernet_key: $env:UNSET}}\n"
    );
    let (config, odd) = parse(&text).unwrap().select(Some("good")).unwrap();
    assert_eq!(config.virtual_hosts.len(), 1);
    assert_eq!(
        odd[2],
        "c.yml:4:31: `virtual_hosts.bad.fernet_key` stands for the environment variable `UNSET`, which is not set: set it (that virtual host is not served here)"
    );
    let error = parse(&text).unwrap().select(Some("bad")).unwrap_err();
    assert!(error.to_string().contains("UNSET"), "{error}");
    assert!(select(&text).is_err());
}

#[test]
fn an_unknown_virtual_host_lists_those_there_are() {
    let error = parse(&format!("{SERVER}{HOST}"))
        .unwrap()
        .select(Some("w"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "virtual host `w` is not in c.yml, which has `v`"
    );
}

#[test]
fn no_yaml_says_where() {
    let error = parse("server: [\n").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("c.yml:2:1: this is not YAML: "),
        "{error}"
    );
}

#[test]
fn a_file_that_python_cannot_read_for_its_tabs_says_where_the_first_is() {
    let what = "Python's consumer cannot read such a file; write spaces, or put the text in quotes";
    let text = format!("{SERVER}{HOST}mock: \tno\n");
    check_odd(&text, &[&format!("c.yml:3:7: a tab stands here: {what}")]);
    let text = format!("{text}\t# comment\n\n\t\n");
    check_odd(
        &text,
        &[&format!(
            "c.yml:3:7: a tab stands here, and on 2 more lines: {what}"
        )],
    );
}

#[test]
fn secrets_are_not_in_complaints_or_shown() {
    let secret = "hunter2";
    for text in [
        format!(
            "server: {{host: h, port: {secret}, username: 7, password: [{secret}], ssl: {secret}}}\n{HOST}"
        ),
        format!(
            "{SERVER}virtual_hosts: {{v: {{queue: q, fernet_key: {{a: {secret}}}, exchanges: {{}}}}}}\n"
        ),
        format!("{SERVER}{HOST}log_server: {{base_url: {secret}, api_token: {{{secret}: 1}}}}\n"),
        format!("{SERVER}{HOST}password: *{secret}x\n").replace("*hunter2x", "'hunter2\n"),
    ] {
        let error = select(&text).unwrap_err();
        assert!(!error.chain().contains(secret), "{error}");
    }
    let (config, _) =
        select(&format!("{SERVER}{HOST}").replace("password: p", "password: hunter2")).unwrap();
    assert!(!format!("{config:?}").contains(secret));
}

#[test]
fn the_url_of_a_virtual_host_holds_any_name_and_password() {
    let broker = |host: &str, ssl| Broker {
        host: host.into(),
        port: 5671,
        username: "u@x".into(),
        password: Secret::new("p/:%é"),
        ssl,
    };
    assert_eq!(
        broker("rabbit", true).url("/").reveal(),
        "amqps://u%40x:p%2F%3A%25%C3%A9@rabbit:5671/%2F"
    );
    assert_eq!(
        broker("::1", false).url("a b").reveal(),
        "amqp://u%40x:p%2F%3A%25%C3%A9@[::1]:5671/a%20b"
    );
}
