//! Real processes on one durable file, killed with kill -9 in the middle of their work.
//!
//! Each process publishes numbered messages and handles whatever it gets, and writes a line for each message
//! that was confirmed and for each that it is about to acknowledge. The test reads the lines, kills, starts
//! anew, and at the end compares: nothing confirmed may be missing, and a message that comes again must say so.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{BufRead, BufReader, Write, stdout},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use tidings_core::{
    Address, Call, Deadline, Envelope, Settlement,
    topology::{Queue, Topology},
    transport::{Subscription, Transport},
};
use tidings_embedded::{Embedded, EmbeddedConfig, FileConfig};

use crate::directory::Directory;

/// Set in a process that is to work instead of testing: its name and the durable file.
const ROLE: (&str, &str) = ("TIDINGS_EMBEDDED_TEST_NAME", "TIDINGS_EMBEDDED_TEST_FILE");
/// How often a process is killed.
const ROUNDS: usize = 8;
/// How many publishes each process must have confirmed between two kills.
const PROGRESS: usize = 100;
/// Far more than a round takes; a process that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_secs(20);

/// What a process says about itself.
#[derive(Debug)]
enum Line {
    Confirmed(String),
    Handled { id: String, redelivered: bool },
    Failed(String),
}

#[derive(Debug, Default)]
struct History {
    confirmed: BTreeSet<String>,
    confirmed_by: BTreeMap<String, usize>,
    /// For each message, whether it was marked as redelivered each time that it was handled.
    handled: BTreeMap<String, Vec<bool>>,
}

impl History {
    fn note(&mut self, line: Line) {
        match line {
            Line::Confirmed(id) => {
                let process = id.split('/').next().unwrap_or_default().to_owned();
                *self.confirmed_by.entry(process).or_default() += 1;
                assert!(
                    self.confirmed.insert(id.clone()),
                    "{id} was confirmed twice"
                );
            }
            Line::Handled { id, redelivered } => {
                self.handled.entry(id).or_default().push(redelivered);
            }
            Line::Failed(what) => panic!("{what}"),
        }
    }

    fn confirmed_by(&self, process: &str) -> usize {
        self.confirmed_by.get(process).copied().unwrap_or(0)
    }

    fn check(&self) {
        let lost: Vec<_> = self
            .confirmed
            .iter()
            .filter(|id| !self.handled.contains_key(*id))
            .collect();
        assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
        for (id, times) in &self.handled {
            let unmarked = times.iter().filter(|redelivered| !**redelivered).count();
            assert!(
                unmarked <= 1,
                "{id} came {} times, {unmarked} of them unmarked",
                times.len()
            );
        }
    }
}

/// A working process. Killed when dropped.
struct Process {
    name: String,
    child: Child,
}

impl Process {
    fn start(name: String, file: &Path, lines: Sender<Line>) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "link_kill::a_working_process", "--nocapture"])
            .env(ROLE.0, &name)
            .env(ROLE.1, file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output
                .lines()
                .map_while(Result::ok)
                .filter_map(|line| parse(&line))
            {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name, child }
    }

    /// Kill -9, and waits until it is dead.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn parse(line: &str) -> Option<Line> {
    let mut words = line.splitn(3, ' ');
    match (words.next()?, words.next()?, words.next()) {
        ("confirmed", id, None) => Some(Line::Confirmed(id.to_owned())),
        ("handled", id, Some(again)) => Some(Line::Handled {
            id: id.to_owned(),
            redelivered: again == "again",
        }),
        ("failed", ..) => Some(Line::Failed(line.to_owned())),
        _ => None,
    }
}

/// Reads lines until each process has confirmed so many more.
fn wait_for_progress(history: &mut History, lines: &Receiver<Line>, processes: &VecDeque<Process>) {
    let goals: Vec<_> = processes
        .iter()
        .map(|process| {
            (
                process.name.clone(),
                history.confirmed_by(&process.name) + PROGRESS,
            )
        })
        .collect();
    while goals
        .iter()
        .any(|(name, goal)| history.confirmed_by(name) < *goal)
    {
        history.note(
            lines
                .recv_timeout(SILENCE)
                .expect("a process that goes on working"),
        );
    }
}

#[test]
fn nothing_confirmed_is_lost_when_owners_and_clients_are_killed() {
    let directory = Directory::new();
    let file = directory.file("broker");
    let (say, lines) = channel();
    let mut history = History::default();
    let mut processes = VecDeque::new();
    for round in 0..ROUNDS + 2 {
        processes.push_back(Process::start(format!("p{round}"), &file, say.clone()));
        if processes.len() < 2 {
            // The first one becomes the owner before there is another one.
            wait_for_progress(&mut history, &lines, &processes);
            continue;
        }
        wait_for_progress(&mut history, &lines, &processes);
        // With two processes the older one is the owner. Every third round the client dies instead.
        let victim = if round % 3 == 0 {
            processes.pop_back()
        } else {
            processes.pop_front()
        };
        victim.unwrap().kill();
        wait_for_progress(&mut history, &lines, &processes);
    }
    drop((processes, say));
    for line in lines {
        history.note(line);
    }
    for (id, redelivered) in what_is_left(&file) {
        history.note(Line::Handled { id, redelivered });
    }
    history.check();
}

/// Handles what is left in the file.
#[tokio::main(flavor = "current_thread")]
async fn what_is_left(file: &Path) -> Vec<(String, bool)> {
    let transport = open(file).await.unwrap();
    let ready = transport.queues(&["q".into()]).await.unwrap()[0].ready;
    let mut subscriber = transport.subscribe(Subscription::to("q")).await.unwrap();
    let mut left = Vec::new();
    for _ in 0..ready {
        let delivery = subscriber.next().await.unwrap().unwrap();
        left.push((id_of(delivery.call()), delivery.call().is_redelivered()));
        delivery.settle(Settlement::Ack).await.unwrap();
    }
    transport.close(Deadline::after(SILENCE)).await.unwrap();
    left
}

async fn open(file: &Path) -> tidings_core::Result<Embedded> {
    Embedded::open(EmbeddedConfig::File(FileConfig::new(file))).await
}

fn id_of(call: &Call) -> String {
    String::from_utf8(call.envelope.payload.bytes.to_vec()).unwrap()
}

/// No test: what the processes do that the test above starts.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the role of a child process can only come from outside"
)]
fn a_working_process() {
    let (Ok(name), Ok(file)) = (std::env::var(ROLE.0), std::env::var(ROLE.1)) else {
        return;
    };
    // The test harness has begun a line.
    say(String::new());
    if let Err(error) = work(&name, Path::new(&file)) {
        say(format!("failed {name} {}", error.chain()));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn work(name: &str, file: &Path) -> tidings_core::Result<()> {
    let transport = open(file).await?;
    transport
        .declare(&Topology::new().queue(Queue::new("q")))
        .await?;
    tokio::try_join!(publish(name, &transport), handle(&transport))?;
    Ok(())
}

async fn publish(name: &str, transport: &Embedded) -> tidings_core::Result<()> {
    let publisher = transport.publisher().await?;
    let mut unanswered = VecDeque::new();
    for number in 0_u64.. {
        let id = format!("{name}/{number}");
        let call = Call::new(Address::queue("q"), Envelope::new(id.clone()));
        unanswered.push_back((id, publisher.publish(call)));
        if unanswered.len() == 32 {
            let (id, completion) = unanswered.pop_front().expect("it has 32");
            completion.await?;
            say(format!("confirmed {id}"));
        }
    }
    Ok(())
}

async fn handle(transport: &Embedded) -> tidings_core::Result<()> {
    let mut subscriber = transport
        .subscribe(Subscription::to("q").with_prefetch(8))
        .await?;
    while let Some(delivery) = subscriber.next().await {
        let delivery = delivery?;
        let again = if delivery.call().is_redelivered() {
            "again"
        } else {
            "first"
        };
        say(format!("handled {} {again}", id_of(delivery.call())));
        // It fails when the owner dies first; then the message comes again.
        drop(delivery.settle(Settlement::Ack).await);
    }
    Ok(())
}

/// A line that survives what happens next to this process.
fn say(line: impl AsRef<str>) {
    let mut stdout = stdout().lock();
    writeln!(stdout, "{}", line.as_ref()).expect("the test reads");
    stdout.flush().expect("the test reads");
}
