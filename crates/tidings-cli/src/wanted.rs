//! The topology that is wanted: out of a file of definitions, or out of the description of a domain.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Args;
use tidings::{
    Domain,
    convention::{Attachment, Convention},
    domain::QueueConfig,
    topology::Topology,
};

use crate::{exit, subscribers};

/// Where the wanted topology comes from: `--file`, or `--organization` and `--service`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Source {
    /// A file of definitions, as RabbitMQ exports them and `tidings topology show --output json` prints them
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["organization", "service"], required_unless_present = "organization")]
    file: Option<PathBuf>,
    /// Of the definitions only those of this virtual host; in what `show` prints, all belong to it
    #[arg(long, value_name = "NAME")]
    vhost: Option<String>,
    /// A domain: the first word of all its names
    #[arg(long, value_name = "NAME", requires = "service")]
    organization: Option<String>,
    /// A domain: the second word of all its names
    #[arg(long, value_name = "NAME", requires = "organization")]
    service: Option<String>,
    /// A domain's subscribers, as JSON: [{"name": …, "messages": [{"name": …, "version": 1, "type": "domain_event"}]}]
    #[arg(long, value_name = "FILE", requires = "organization")]
    subscribers: Option<PathBuf>,
    /// How long failed messages wait before they come again, in milliseconds; 0 for ever
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 5000,
        requires = "organization"
    )]
    retry_ttl: u64,
    /// How long messages wait for a consumer before they become dead letters, in milliseconds; 0 for ever.
    /// petisco's own default is 5000: say so to share queues with it
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        requires = "organization"
    )]
    main_ttl: u64,
    /// TTLs of some queues, as JSON: {"rule": {"when_queue_contains": "*mail*", "use": {"retry_ttl": …, "main_ttl": …}}}
    #[arg(long, value_name = "FILE", requires = "organization")]
    queue_config: Option<PathBuf>,
    /// Keeps no copy of every message
    #[arg(long, requires = "organization")]
    no_store: bool,
}

/// What is wanted.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// What a file says.
    Definitions(Topology),
    /// What a domain needs.
    Domain(Box<Domain>, Vec<Attachment>),
}

impl Wanted {
    /// As a topology.
    pub(crate) fn topology(&self) -> Topology {
        match self {
            Self::Definitions(topology) => topology.clone(),
            Self::Domain(domain, attachments) => {
                let mut topology = domain.topology();
                for attachment in attachments {
                    topology.merge(attachment.topology.clone());
                }
                topology
            }
        }
    }
}

impl Source {
    /// The virtual host that definitions are read and written for.
    pub(crate) fn vhost(&self) -> Option<&str> {
        self.vhost.as_deref()
    }

    /// Whether subscribers were named.
    pub(crate) fn names_subscribers(&self) -> bool {
        self.subscribers.is_some()
    }

    /// Reads it.
    pub(crate) fn read(&self) -> Result<Wanted> {
        if let Some(path) = &self.file {
            let shown = path.display();
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read the definitions from {shown}"))?;
            let topology = Topology::from_definitions(&text, self.vhost())
                .with_context(|| format!("cannot use the definitions in {shown}"))?;
            return Ok(Wanted::Definitions(topology));
        }
        let (Some(organization), Some(service)) = (&self.organization, &self.service) else {
            return Err(exit::usage(
                "say what is wanted: --file FILE, or --organization NAME --service NAME",
            ));
        };
        let domain = Domain::builder(organization, service).queue_config(self.queue_config()?);
        let domain = if self.no_store {
            domain.without_store().build()?
        } else {
            domain.build()?
        };
        let attachments = match &self.subscribers {
            Some(path) => subscribers::load(path, &domain)?,
            None => Vec::new(),
        };
        Ok(Wanted::Domain(Box::new(domain), attachments))
    }

    fn queue_config(&self) -> Result<QueueConfig> {
        let config = QueueConfig::new()
            .with_retry_ttl(Duration::from_millis(self.retry_ttl))
            .with_main_ttl(Duration::from_millis(self.main_ttl));
        let Some(path) = &self.queue_config else {
            return Ok(config);
        };
        let shown = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the TTLs from {shown}"))?;
        config
            .with_rules_json(&text)
            .with_context(|| format!("cannot use the TTLs in {shown}"))
    }
}
