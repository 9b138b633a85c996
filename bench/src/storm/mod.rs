//! The revocation test. Writers change users, projects, domains, roles, groups, passwords, tokens and the catalog at random
//! nodes, while connections to every node validate tokens as fast as they can: a validation that began after a write was
//! answered must see it, on whichever node, and one that no write forbids must not be refused.
//!
//! **Invariant:** nothing is known of the servers but the Identity API. What was answered when is all that counts.

mod cell;
mod history;
mod operation;
mod random;
mod tally;
mod world;
mod writer;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;

use crate::Error;
use crate::connection::Connection;
use random::Random;
use tally::Tally;
use world::{Node, Patience, ROLES, Shared, World};
use writer::{Client, Prepared, Probe, Writer};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// A node's endpoint; once for each node.
    #[arg(long = "url", required = true)]
    urls: Vec<String>,
    /// A node that writes are sent to and no validations: another program on the same database.
    #[arg(long = "write-url")]
    write_urls: Vec<String>,
    /// The administrator, of the domain `default`, with a role on the project `admin`.
    #[arg(long, env = "OS_USERNAME", default_value = "admin")]
    user: String,
    #[arg(long, env = "OS_PASSWORD", hide_env_values = true)]
    password: String,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The same seed makes the same writes, as long as all are answered.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections to each node that validate without pause.
    #[arg(long, default_value_t = 4)]
    validators: usize,
    #[arg(long, default_value_t = 4)]
    writers: usize,
    /// Users of each writer, with a domain, a project and a group each.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..))]
    cells: u64,
    /// The longest rest between two writes of a writer, in milliseconds.
    #[arg(long, default_value_t = 20)]
    pause: u64,
    /// Nodes may fail: errors are counted, and only wrong answers are wrong.
    #[arg(long)]
    faults: bool,
    /// Begins the names of everything that is made; another run on the same cloud needs another.
    #[arg(long, default_value = "storm")]
    tag: String,
    /// Also write the report to this file.
    #[arg(long)]
    output: Option<PathBuf>,
}

/// After an error, so that a node that is away is not asked thousands of times in a second.
const AFTER_AN_ERROR: Duration = Duration::from_millis(20);

/// Prints `begun` when the storm begins and the report when it is over; an error if any answer was wrong.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let nodes = options
        .urls
        .iter()
        .chain(&options.write_urls)
        .map(|url| Node::new(url))
        .collect::<Result<Vec<Node>, Error>>()?;
    let per_writer = usize::try_from(options.cells).unwrap_or(1);
    let Prepared { admin, role_ids, implied_id, endpoint_id } =
        writer::prepare(&nodes[0], &options.user, &options.password, &options.tag).await?;
    let validated = options.urls.len();
    let patience = if options.faults { (6, 3) } else { (30, 30) };
    let nobody = Arc::new(cell::Cell::new("none yet".to_owned(), Default::default()));
    let world = Arc::new(World {
        nodes,
        admin,
        tag: options.tag.clone(),
        role_ids,
        implied_id,
        endpoint_id,
        endpoint: Shared::new(0),
        role_names: (0..ROLES).map(|_| Shared::new(0)).collect(),
        implication: Shared::new(false),
        cells: (0..options.writers * per_writer).map(|_| RwLock::new(Arc::clone(&nobody))).collect(),
        tally: Tally::new(),
        patience: Patience { validation: Duration::from_secs(patience.0), write: Duration::from_secs(patience.1) },
        over: AtomicBool::new(false),
    });

    let mut writers = Vec::new();
    for index in 0..options.writers {
        let mut writer = Writer {
            client: Client::new(Arc::clone(&world)),
            random: Random::new(options.seed, index as u64),
            slots: index * per_writer..(index + 1) * per_writer,
            pause: Duration::from_millis(options.pause),
            probes: Vec::new(),
            changes_common: index == 0,
            made: 0,
            without_token: VecDeque::new(),
            rest_until: vec![Instant::now(); per_writer],
            gone_for: vec![0; per_writer],
        };
        for place in 0..per_writer {
            writer.replace(place).await;
        }
        for node in 0..validated {
            let (probes, probed) = mpsc::channel(1);
            writer.probes.push(probes);
            tokio::spawn(prober(Arc::clone(&world), node, probed));
        }
        writers.push(writer);
    }
    if world.tally.errors() > 0 {
        return Err(Error::Storm(format!("making the cells: {}", world.tally.report().0["errors"])));
    }
    world.tally.begin();
    println!("begun");
    let mut tasks: Vec<_> = writers.into_iter().map(|writer| tokio::spawn(writer.run())).collect();
    for node in 0..validated {
        for index in 0..options.validators {
            let random = Random::new(options.seed, 1000 + (node * options.validators + index) as u64);
            tasks.push(tokio::spawn(validator(Arc::clone(&world), node, random)));
        }
    }
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    world.over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.map_err(|error| Error::Storm(format!("a task ended badly: {error}")))?;
    }
    report(&options, &world)
}

fn report(options: &Options, world: &World) -> Result<(), Error> {
    let (mut report, wrong) = world.tally.report();
    report["seed"] = json!(options.seed);
    report["storm"] = world.settings();
    let text = serde_json::to_string(&report)?;
    if let Some(path) = &options.output {
        std::fs::write(path, format!("{text}\n")).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    println!("{text}");
    if wrong > 0 {
        return Err(Error::Storm(format!(
            "{wrong} answers were wrong (seed {}); the first: {}",
            options.seed, report["cases"][0]
        )));
    }
    if report["valid"] == 0 || report["refused"] == 0 || report["writes"] == 0 {
        return Err(Error::Storm("nothing was tried".to_owned()));
    }
    if !options.faults && world.tally.errors() > 0 {
        return Err(Error::Storm(format!("{} errors: {}", world.tally.errors(), report["errors"])));
    }
    Ok(())
}

/// Validates random tokens at one node, without pause.
async fn validator(world: Arc<World>, node: usize, mut random: Random) {
    let mut connection = Connection::idle(&world.nodes[node].authority);
    while !world.is_over() {
        let cell = world.cell(random.below(world.cells.len()));
        let tokens = cell.tokens();
        // The newest more often: the others are dead most of the time.
        let token = if random.below(2) == 0 { tokens.last() } else { random.choose(&tokens) };
        let Some(token) = token.cloned() else {
            tokio::task::yield_now().await;
            continue;
        };
        let by_itself = random.below(4) == 0;
        if !world.validate(&mut connection, node, &cell, &token, by_itself).await {
            tokio::time::sleep(AFTER_AN_ERROR).await;
        }
    }
}

/// Validates at one node what a writer has just changed.
async fn prober(world: Arc<World>, node: usize, mut probed: mpsc::Receiver<Probe>) {
    let mut connection = Connection::idle(&world.nodes[node].authority);
    while let Some((cell, token)) = probed.recv().await {
        world.validate(&mut connection, node, &cell, &token, false).await;
    }
}
