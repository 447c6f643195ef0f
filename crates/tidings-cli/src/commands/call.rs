//! `tidings call`: asks the consumer of a queue for an action, and prints what it answers.
//!
//! A request can be made out of its JSON Schema. It deliberately refuses to send what is no JSON object: consumers that
//! are in use die of that, again and again.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};
use tidings::{
    Error, ErrorKind, Kind,
    convention::{Convention, Outgoing},
    rpc::{Client, Keys, Rpc, sample},
    transport::Payload,
};

use super::{Session, publish::sending::read_stdin};
use crate::{
    connect,
    exit::{self, Exit, Stopped},
    json_text, output,
};

/// The arguments of `tidings call`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidings call create_site '{\"domain\": \"example.com\"}' --queue web1 --timeout 10
  tidings call create_site --queue web1 --schema create_site.json --example --dry-run
  echo '{\"user\": \"ada\", \"password\": \"…\"}' | tidings call create_user - --queue web1 --secret password --keys keys.txt

The answer is printed whether it says success or not; the exit code tells: 0 success, 10 failure, 11 no answer in time, \
7 nobody receives it.")]
pub(crate) struct Options {
    /// The exchange of the action
    #[arg(value_name = "EXCHANGE")]
    exchange: String,
    /// The request, a JSON object; `-` reads standard input
    #[arg(value_name = "REQUEST", required_unless_present = "example")]
    request: Option<String>,
    /// The queue of the consumer that is asked
    #[arg(long, short = 'q', value_name = "QUEUE")]
    queue: String,
    /// How many seconds the answer may take, the wait for a connection included
    #[arg(long, short = 't', value_name = "SECONDS", default_value_t = 300.0)]
    timeout: f64,
    /// Print the bytes of the answer as they came
    #[arg(long)]
    raw: bool,
    /// Send a random request that fits the schema
    #[arg(long, requires = "schema", conflicts_with = "request")]
    example: bool,
    /// A file with the JSON Schema of the request
    #[arg(long, value_name = "FILE", requires = "example")]
    schema: Option<PathBuf>,
    /// Makes the same example again
    #[arg(long, value_name = "N", requires = "example")]
    seed: Option<u64>,
    /// Print the request as it would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// A member that is sent encrypted, for example password or database.password
    #[arg(long = "secret", value_name = "PATH", requires = "keys")]
    secrets: Vec<String>,
    /// A file with Fernet keys, one per line; the first encrypts
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Send it even if no queue receives it, and wait in vain
    #[arg(long)]
    unroutable_is_fine: bool,
}

/// Calls.
pub(crate) async fn run(options: Options, session: &Session) -> Result<Exit> {
    let timeout = Duration::try_from_secs_f64(options.timeout)
        .map_err(|error| exit::usage(format!("`--timeout {}`: {error}", options.timeout)))?;
    if timeout.is_zero() {
        return Err(exit::usage(
            "`--timeout 0` leaves no time for an answer: give it seconds",
        ));
    }
    let request = options.request()?;
    let rpc = options.rpc()?;
    if options.dry_run {
        print(&options.sealed(&rpc, &request)?, options.raw, session)?;
        return Ok(Exit::Ok);
    }
    let transport = session.connection.open(&session.stop).await?;
    let mut client = Client::over(Arc::clone(&transport), rpc).with_timeout(timeout);
    if options.unroutable_is_fine {
        client = client.unroutable_is_fine();
    }
    let secrets: Vec<&str> = options.secrets.iter().map(String::as_str).collect();
    let calling = client.call_raw_with_secrets(&options.exchange, request, &secrets);
    let answered = tokio::select! {
        answered = calling => answered.map_err(anyhow::Error::from), // Cancel-safe: a dropped call leaves nothing behind.
        () = session.stop.requested() => Err(Stopped.into()), // Cancel-safe: it only looks at a flag.
    };
    match connect::close(&*transport, answered).await {
        Ok(answer) => {
            print(&answer, options.raw, session)?;
            Ok(meaning(&answer))
        }
        Err(error) if is_timeout(&error) => {
            exit::report(&error);
            Ok(Exit::NoAnswer)
        }
        Err(error) => Err(error),
    }
}

impl Options {
    fn request(&self) -> Result<String> {
        let text = match (&self.request, &self.schema) {
            (Some(request), _) if request == "-" => read_stdin()?,
            (Some(request), _) => request.clone(),
            (None, Some(schema)) => example(schema, self.seed)?.to_string(),
            (None, None) => return Err(exit::usage("say the request, or --example --schema FILE")),
        };
        match json_text::read(text.as_bytes()) {
            Some(json) if json.get().starts_with('{') => Ok(text),
            _ => {
                let context = "the request is no JSON object, and nothing else is a request";
                Err(Error::new(ErrorKind::Invalid, context).into())
            }
        }
    }

    fn rpc(&self) -> Result<Rpc> {
        let rpc = Rpc::new(self.queue.as_str())?;
        let Some(path) = &self.keys else {
            return Ok(rpc);
        };
        let place = || format!("cannot use the keys of {}", path.display());
        let text = fs::read_to_string(path).with_context(place)?;
        let keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Ok(rpc.with_keys(Keys::new(keys).with_context(place)?))
    }

    /// What would be sent: secrets are in it only as they leave.
    fn sealed(&self, rpc: &Rpc, request: &str) -> Result<Payload> {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        let call = rpc.seal(&Outgoing {
            name: &self.exchange,
            version: 1,
            kind: Kind::Call,
            id: None,
            occurred_at: None,
            meta: &Map::new(),
            secrets: &secrets,
            body: &|_, out: &mut Vec<u8>| {
                out.extend_from_slice(request.as_bytes());
                Ok(())
            },
        })?;
        Ok(call.envelope.payload.clone())
    }
}

fn example(schema: &PathBuf, seed: Option<u64>) -> Result<Value> {
    let place = || format!("cannot use the schema {}", schema.display());
    let text = fs::read_to_string(schema).with_context(place)?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| Error::new(ErrorKind::Decode, format!("it is no JSON: {error}")))
        .with_context(place)?;
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    sample::of(&schema, &mut fastrand::Rng::with_seed(seed)).with_context(place)
}

fn print(payload: &Payload, raw: bool, session: &Session) -> Result<()> {
    if raw {
        return output::write_bytes(&payload.bytes);
    }
    match json_text::read(&payload.bytes) {
        Some(json) if session.output.is_json() => {
            output::write(&format!("{}\n", json_text::compact(json).get()))
        }
        Some(json) => {
            let text = json_text::pretty(json, session.output.colour());
            output::write(&format!("{text}\n"))
        }
        None => output::write_bytes(&payload.bytes),
    }
}

/// What an answer means for the exit code. Only what says that it failed has failed.
fn meaning(answer: &Payload) -> Exit {
    #[derive(Deserialize)]
    struct Answer {
        success: bool,
    }
    match serde_json::from_slice(&answer.bytes) {
        Ok(Answer { success: false }) => Exit::Refused,
        _ => Exit::Ok,
    }
}

fn is_timeout(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_that_says_so_is_a_failure() {
        let check = |answer: &'static str, expected: Exit| {
            assert_eq!(meaning(&Payload::new(answer)), expected, "{answer}");
        };
        check(
            r#"{"success":false,"message":"","data":null}"#,
            Exit::Refused,
        );
        check(r#"{"success":true,"message":"","data":null}"#, Exit::Ok);
        check(r#"{"other":1}"#, Exit::Ok);
        check("no JSON", Exit::Ok);
        check("", Exit::Ok);
    }
}
