//! What can be asked for on the command line.

use anyhow::{Result, bail};
use tidings_benches::command::{positive, url};

use crate::case::{Contender, Kind, Work};

pub const HELP: &str = "\
What Tidings costs on top of the RabbitMQ client that it uses: messages per second and time of the CPU.

Usage: cargo xtask bench rabbitmq [OPTIONS]

  --messages N                  in each run [100000]
  --rounds N                    in which everybody has a turn [3]
  --queue classic|quorum|both   on which type of queue [both]
  --only NAME[,NAME…]           only these; lapin is the yardstick and always takes part
                                contenders: lapin amqprs transport service petisco
                                parts: publish consume both
  --output table|json           for people or for programs [table]
  --help                        this text

On the broker at TIDINGS_TEST_RABBITMQ_URL, or on one that is started for it.
";

/// What is asked for.
#[derive(Debug)]
pub struct Options {
    pub url: String,
    pub messages: usize,
    pub rounds: usize,
    pub kinds: Vec<Kind>,
    pub contenders: Vec<Contender>,
    pub works: Vec<Work>,
    pub json: bool,
}

impl Options {
    pub fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            url: url()?,
            messages: 100_000,
            rounds: 3,
            kinds: Kind::ALL.to_vec(),
            contenders: Contender::ALL.to_vec(),
            works: Work::ALL.to_vec(),
            json: false,
        };
        for pair in arguments.chunks(2) {
            match *pair {
                ["--messages", number] => options.messages = positive(pair[0], number)?,
                ["--rounds", number] => options.rounds = positive(pair[0], number)?,
                ["--queue", "both"] => options.kinds = Kind::ALL.to_vec(),
                ["--queue", kind] => options.kinds = vec![kind.parse()?],
                ["--only", names] => options.only(names)?,
                ["--output", format @ ("table" | "json")] => options.json = format == "json",
                _ => bail!("`{}` is not understood\n\n{HELP}", pair.join(" ")),
            }
        }
        Ok(options)
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
