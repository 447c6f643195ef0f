//! What can be asked for on the command line.

use anyhow::{Result, bail};
use tidings_benches::command::{positive, url};

use crate::case::{Contender, Work};

pub const HELP: &str = "\
What a call costs on top of the RabbitMQ client that Tidings uses: calls per second, time of the CPU, memory.

Usage: cargo xtask bench rpc [OPTIONS]

  --calls N                in each run with sixty-four in flight, a tenth of it with one [50000]
  --rounds N               in which everybody has a turn [3]
  --only NAME[,NAME…]      only these; lapin is the yardstick and always takes part
                           contenders: lapin bare amqprs ours python
                           parts: one many
  --memory N               instead: what our process holds after each tenth of N calls with distinct lock keys
  --output table|json      for people or for programs [table]
  --help                   this text

On the broker at TIDINGS_TEST_RABBITMQ_URL, or on one that is started for it.
";

/// What is asked for.
#[derive(Debug)]
pub struct Options {
    pub url: String,
    pub calls: usize,
    pub rounds: usize,
    pub contenders: Vec<Contender>,
    pub works: Vec<Work>,
    pub json: bool,
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            url: url()?,
            calls: 50_000,
            rounds: 3,
            contenders: Contender::ALL.to_vec(),
            works: Work::ALL.to_vec(),
            json: false,
        };
        for pair in arguments.chunks(2) {
            match *pair {
                ["--calls", number] => options.calls = positive(pair[0], number)?,
                ["--rounds", number] => options.rounds = positive(pair[0], number)?,
                ["--memory", number] => options.memory(positive(pair[0], number)?),
                ["--only", names] => options.only(names)?,
                ["--output", format @ ("table" | "json")] => options.json = format == "json",
                _ => bail!("`{}` is not understood\n\n{HELP}", pair.join(" ")),
            }
        }
        Ok(options)
    }

    fn memory(&mut self, calls: usize) {
        (self.calls, self.rounds) = (calls, 1);
        (self.contenders, self.works) = (vec![Contender::Ours], vec![Work::Memory]);
    }

    fn only(&mut self, names: &str) -> Result<()> {
        let (mut contenders, mut works) = (vec![Contender::Lapin], Vec::new());
        for name in names.split(',') {
            match (name.parse(), name.parse()) {
                (Ok(contender), _) => contenders.push(contender),
                (_, Ok(work)) => works.push(work),
                _ => bail!("`{name}` is neither a contender nor a part\n\n{HELP}"),
            }
        }
        if contenders.len() > 1 || works.is_empty() {
            self.contenders.retain(|known| contenders.contains(known));
        }
        if !works.is_empty() {
            self.works.retain(|known| works.contains(known));
        }
        Ok(())
    }
}
