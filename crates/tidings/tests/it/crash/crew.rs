//! The processes of a kill test: two that publish, two that consume, all of them mortal.

use std::{fs, path::Path, time::Duration};

use fastrand::Rng;
use futures_util::future::{join_all, select_all};
use tidings_core::ErrorKind;
use tidings_testkit::process::Process;

use super::{
    child,
    orders::{Breach, Orders, Role},
    place::{LONG, Place, rest},
};

/// Whether this system tells which process has which file open.
pub(super) fn owners_are_known() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// Which processes die together.
#[derive(Clone, Copy, Debug)]
pub(super) enum Victims {
    /// Whichever owns the file at the moment.
    Owner,
    /// One by chance.
    One,
    /// Two by chance.
    Two,
    /// All.
    All,
}

/// A place in the crew; one process after the other has it.
#[derive(Debug)]
struct Member {
    what: &'static str,
    role: Role,
    breach: Option<Breach>,
    lives: u32,
    process: Process,
    /// Whether the present process has said that it works.
    works: bool,
}

/// All processes that use one file.
#[derive(Debug)]
pub(super) struct Crew<'a> {
    place: &'a Place,
    random: Rng,
    members: Vec<Member>,
    pub(super) kills: usize,
    pub(super) owners_killed: usize,
}

/// Two publishers and two consumers, one of which refuses a tenth of what it gets. `breach` says which promise
/// is broken by the transport of a publisher and which by those of the consumers.
pub(super) fn usual(breach: [Option<Breach>; 2]) -> [(&'static str, Role, Option<Breach>); 4] {
    let publisher = Role::Publisher {
        filling: 100,
        most_waiting: 300,
        until_full: false,
    };
    let consumer = |refuses| Role::Consumer {
        refuses,
        least_waiting: 0,
    };
    [
        ("publisher-a", publisher.clone(), breach[0]),
        ("publisher-b", publisher, None),
        ("consumer-a", consumer(0.0), breach[1]),
        ("consumer-b", consumer(0.1), breach[1]),
    ]
}

impl<'a> Crew<'a> {
    /// Starts everybody.
    pub(super) fn start(
        place: &'a Place,
        seed: u64,
        members: impl IntoIterator<Item = (&'static str, Role, Option<Breach>)>,
    ) -> Self {
        let mut random = Rng::with_seed(seed);
        let start = |(what, role, breach)| Member {
            what,
            process: child::start(&orders(place, what, 0, &role, breach, random.u64(..))),
            role,
            breach,
            lives: 0,
            works: false,
        };
        let members = members.into_iter().map(start).collect();
        Self {
            place,
            random,
            members,
            kills: 0,
            owners_killed: 0,
        }
    }

    /// Waits until everybody has got something done.
    pub(super) async fn all_work(&mut self) {
        for member in &mut self.members {
            member.works().await;
        }
    }

    /// Lets everybody live for so long. Whoever ends by itself meanwhile has a fault.
    pub(super) async fn live(&mut self, moment: Duration) {
        let waiting = self
            .members
            .iter_mut()
            .map(|member| Box::pin(member.process.wait(moment)));
        let (first, index, _) = select_all(waiting).await;
        match first {
            Err(error) if error.kind() == ErrorKind::Timeout => {}
            ended => panic!(
                "{} ended by itself: {ended:?}, see its log in {:?}",
                self.members[index].what, self.place
            ),
        }
    }

    /// Kills without warning, and starts others in their places.
    pub(super) async fn replace(&mut self, victims: Victims) {
        let victims = self.choose(victims);
        self.kill(&victims).await;
        for index in victims {
            let member = &mut self.members[index];
            member.lives += 1;
            member.works = false;
            let seed = self.random.u64(..);
            let (what, lives) = (member.what, member.lives);
            member.process = child::start(&orders(
                self.place,
                what,
                lives,
                &member.role,
                member.breach,
                seed,
            ));
        }
    }

    /// Ends the publishers, lets the consumers work everything off, and asks them to end.
    pub(super) async fn finish(mut self) {
        let is_publisher = |member: &Member| matches!(member.role, Role::Publisher { .. });
        let publishers: Vec<_> = (0..self.members.len())
            .filter(|index| is_publisher(&self.members[*index]))
            .collect();
        self.kill(&publishers).await;
        self.members.retain(|member| !is_publisher(member));
        for member in &mut self.members {
            member.is_ready().await;
        }
        let transport = tidings::open(&self.place.url())
            .await
            .expect("the file opens");
        rest(&transport).await;
        for member in &mut self.members {
            let process = &mut member.process;
            process.terminate().await.expect("it is a child of ours");
            let ended = process.wait(LONG).await.expect("a drain ends");
            assert!(ended.success(), "{}: {ended}", member.what);
        }
    }

    fn choose(&mut self, victims: Victims) -> Vec<usize> {
        let all = self.members.len();
        match victims {
            Victims::Owner => vec![self.owner().unwrap_or_else(|| self.random.usize(..all))],
            Victims::One => vec![self.random.usize(..all)],
            Victims::Two => {
                let first = self.random.usize(..all);
                vec![first, (first + self.random.usize(1..all)) % all]
            }
            Victims::All => (0..all).collect(),
        }
    }

    async fn kill(&mut self, victims: &[usize]) {
        let owner = self.owner();
        self.kills += victims.len();
        self.owners_killed += usize::from(owner.is_some_and(|owner| victims.contains(&owner)));
        let dying = self
            .members
            .iter_mut()
            .enumerate()
            .filter(|(index, _)| victims.contains(index))
            .map(|(_, member)| member.process.kill_9());
        for killed in join_all(dying).await {
            killed.expect("a child of ours can be killed");
        }
    }

    /// Who owns the file: the one process that has it open. `None` while nobody does.
    fn owner(&self) -> Option<usize> {
        let broker = self.place.broker();
        self.members
            .iter()
            .position(|member| has_open(member.process.id(), &broker))
    }
}

impl Member {
    /// Waits until its process can be asked to end.
    async fn is_ready(&mut self) {
        if !self.works {
            self.hear("ready").await;
        }
    }

    /// Waits until its process has got something done.
    async fn works(&mut self) {
        if !self.works {
            self.hear("working").await;
            self.works = true;
        }
    }

    async fn hear(&mut self, word: &str) {
        let heard = self.process.line_starting(word, LONG).await;
        heard.unwrap_or_else(|error| panic!("{}-{}: {error}", self.what, self.lives));
    }
}

fn orders(
    place: &Place,
    what: &str,
    lives: u32,
    role: &Role,
    breach: Option<Breach>,
    seed: u64,
) -> Orders {
    let name = format!("{what}-{lives}");
    Orders {
        url: place.url(),
        history: place.file(&format!("{name}.history")),
        name,
        seed,
        breach,
        role: role.clone(),
    }
}

/// Whether a process has a file open. Only Linux tells.
fn has_open(process: Option<u32>, file: &Path) -> bool {
    let Some(process) = process else {
        return false;
    };
    let Ok(handles) = fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    handles
        .flatten()
        .any(|handle| fs::read_link(handle.path()).is_ok_and(|target| target == file))
}
