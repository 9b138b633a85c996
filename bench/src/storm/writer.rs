//! One writer: random writes to its cells and its share of what all cells have in common, at random nodes.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderValue, Method};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::cell::{Cell, GROUP_ROLE, Token};
use super::operation::{Asked, Operation, password};
use super::random::Random;
use super::world::{IMPLYING, ROLES, World, shown};
use crate::Error;
use crate::connection::{Connection, Reply};
use crate::identity::{AUTH_TOKEN, SUBJECT_TOKEN};

/// A token issued in the second of a revocation counts as issued before it.
const UNTIL_THE_NEXT_SECOND: Duration = Duration::from_millis(1100);
/// One write in so many deletes a user or a project.
const DELETIONS: usize = 40;
/// So many writes later there is another cell in its place.
const TURNS_GONE: u32 = 3;
const TOKENS_EACH: usize = 2;

/// Makes requests to all nodes, one at a time.
pub(super) struct Client {
    pub(super) world: Arc<World>,
    connections: Vec<Connection>,
}

/// Why a write has no answer.
enum Unanswered {
    /// It may have been done.
    Perhaps,
    /// It was not.
    Refused,
}

impl Client {
    pub(super) fn new(world: Arc<World>) -> Self {
        let connections = world.nodes.iter().map(|node| Connection::idle(&node.authority)).collect();
        Self { world, connections }
    }

    async fn write(&mut self, node: usize, what: &'static str, asked: &Asked) -> Result<Reply, Unanswered> {
        let world = Arc::clone(&self.world);
        let mut headers = vec![(AUTH_TOKEN, &world.admin)];
        headers.extend(asked.subject.as_ref().map(|text| (SUBJECT_TOKEN, text)));
        let Ok(request) = world.nodes[node].request(&asked.method, &asked.path, &headers, asked.body.as_ref()) else {
            return Err(Unanswered::Refused);
        };
        let exchange = self.connections[node].exchange_once(request);
        match tokio::time::timeout(world.patience.write, exchange).await {
            Ok(Ok(reply)) if reply.status.as_u16() == asked.status => {
                world.tally.wrote(what);
                Ok(reply)
            }
            Ok(Ok(reply)) => {
                world.tally.error(node, what, &shown(&reply));
                // Of a server that failed nobody knows what it had done.
                Err(if reply.status.is_server_error() { Unanswered::Perhaps } else { Unanswered::Refused })
            }
            Ok(Err(error)) => {
                world.tally.error(node, what, &error.to_string());
                Err(Unanswered::Perhaps)
            }
            Err(_) => {
                world.tally.error(node, what, "no reply in time");
                Err(Unanswered::Perhaps)
            }
        }
    }

    /// Makes a thing at one of the nodes, the first that does it; its id.
    async fn make(&mut self, first_node: usize, path: &str, kind: &str, body: &Value) -> Option<String> {
        for turn in 0..self.world.nodes.len() {
            let node = (first_node + turn) % self.world.nodes.len();
            let asked = Asked::new(Method::POST, path.to_owned(), Some(json!({ kind: body })), 201);
            if let Ok(reply) = self.write(node, "make", &asked).await {
                let made: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                return made[kind]["id"].as_str().map(str::to_owned);
            }
        }
        None
    }

    /// A new cell whose user has all roles; `None` if the nodes would not.
    pub(super) async fn make_cell(&mut self, node: usize, label: String) -> Option<Cell> {
        let domain = self.make(node, "/domains", "domain", &json!({"name": label})).await?;
        let name = format!("{label}-0");
        let project = self.make(node, "/projects", "project", &json!({"name": name, "domain_id": domain})).await?;
        let user = json!({"name": name, "domain_id": domain, "password": password(0)});
        let user = self.make(node, "/users", "user", &user).await?;
        let group = self.make(node, "/groups", "group", &json!({"name": name, "domain_id": domain})).await?;
        let cell = Cell::new(label, [domain, project, user, group]);
        let facts = cell.facts();
        let operations = [Operation::JoinGroup(true), Operation::GiveGroupRole(true)]
            .into_iter()
            .chain((0..GROUP_ROLE).map(Operation::GiveRole));
        for operation in operations {
            let asked = operation.asked(&self.world, &cell, &facts);
            self.write(node, "make", &asked).await.ok()?;
        }
        Some(cell)
    }

    /// A further token of the cell's user; whether there is one.
    pub(super) async fn issue(&mut self, node: usize, cell: &Cell) -> bool {
        let serial = {
            let mut history = cell.history();
            let facts = history.newest_mut();
            facts.next_serial += 1;
            facts.next_serial - 1
        };
        let user = json!({"id": cell.user_id, "password": password(cell.facts().password)});
        let asked = Asked::new(
            Method::POST,
            "/auth/tokens".to_owned(),
            Some(json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": {"id": cell.project_id}},
            }})),
            201,
        );
        match self.write(node, "issue a token", &asked).await {
            Ok(reply) => {
                let Some(text) = reply.headers.get(SUBJECT_TOKEN).cloned() else { return false };
                cell.add_token(Token { serial, text });
                true
            }
            Err(_) => false,
        }
    }
}

/// What is to be validated at once, because it was just changed.
pub(super) type Probe = (Arc<Cell>, Token);

/// Changes its own cells, at random.
pub(super) struct Writer {
    pub(super) client: Client,
    pub(super) random: Random,
    /// Its cells are these places of the world's.
    pub(super) slots: std::ops::Range<usize>,
    /// The longest rest between two writes.
    pub(super) pause: Duration,
    /// One for each node.
    pub(super) probes: Vec<mpsc::Sender<Probe>>,
    /// The first writer changes also what all cells have in common.
    pub(super) changes_common: bool,
    pub(super) made: u32,
    /// Places whose cells have no living token, the longest first.
    pub(super) without_token: VecDeque<usize>,
    pub(super) rest_until: Vec<Instant>,
    pub(super) gone_for: Vec<u32>,
}

impl Writer {
    /// Until the storm is over.
    pub(super) async fn run(mut self) {
        while !self.client.world.is_over() {
            // Not by the time that has passed: the writes of a seed are to be the same every time.
            if self.without_token.len() > self.slots.len() / 2 {
                self.give_tokens().await;
            } else if self.changes_common && self.random.below(4) == 0 {
                self.change_common().await;
            } else {
                self.change_some_cell().await;
            }
            let pause = self.random.below(usize::try_from(self.pause.as_micros()).unwrap_or(0) + 1);
            tokio::time::sleep(Duration::from_micros(pause as u64)).await;
        }
    }

    fn node(&mut self) -> usize {
        self.random.below(self.client.world.nodes.len())
    }

    async fn change_some_cell(&mut self) {
        let place = self.random.below(self.slots.len());
        let cell = self.client.world.cell(self.slots.start + place);
        if cell.is_lost() || self.gone_for[place] > TURNS_GONE {
            self.replace(place).await;
            return;
        }
        let (facts, tokens) = (cell.facts(), cell.tokens());
        if facts.gone {
            self.gone_for[place] += 1;
            return;
        }
        let operation = if self.random.below(DELETIONS) == 0 {
            if self.random.below(2) == 0 { Operation::DeleteUser } else { Operation::DeleteProject }
        } else {
            match self.random.choose(&Operation::sensible(&facts, &tokens)) {
                Some(operation) => operation.clone(),
                None => return,
            }
        };
        self.change(place, &cell, &operation).await;
    }

    async fn change(&mut self, place: usize, cell: &Arc<Cell>, operation: &Operation) {
        let node = self.node();
        let before = cell.facts();
        let asked = operation.asked(&self.client.world, cell, &before);
        let after = operation.applied(&before);
        let subject = match operation {
            Operation::Revoke(serial) => cell.tokens().into_iter().find(|token| token.serial == *serial),
            _ => self.random.choose(&cell.tokens()).cloned(),
        };
        cell.history().begin(after.clone(), format!("{operation:?} at node {node}"));
        match self.client.write(node, operation.name(), &asked).await {
            Ok(_) => cell.history().answered(),
            Err(Unanswered::Perhaps) => {
                cell.lose();
                cell.history().unanswered();
                self.client.world.tally.cell_lost();
                return;
            }
            Err(Unanswered::Refused) => {
                cell.history().refused();
                return;
            }
        }
        if operation.ends_all_tokens() {
            self.rest_until[place] = Instant::now() + UNTIL_THE_NEXT_SECOND;
        }
        let living = cell.tokens().iter().filter(|token| after.lives(token.serial)).count();
        if living < TOKENS_EACH && !after.gone && !self.without_token.contains(&place) {
            self.without_token.push_back(place);
        }
        if let Some(token) = subject {
            self.probe(cell, &token);
        }
    }

    /// Has the token validated at all nodes at once; at one that has not answered the last time, not again.
    fn probe(&self, cell: &Arc<Cell>, token: &Token) {
        for node in &self.probes {
            // Full: that node is busy with the last.
            node.try_send((Arc::clone(cell), token.clone())).ok();
        }
    }

    async fn give_tokens(&mut self) {
        let Some(place) = self.without_token.pop_front() else { return };
        let cell = self.client.world.cell(self.slots.start + place);
        if cell.is_lost() || cell.facts().gone {
            self.replace(place).await;
            return;
        }
        while let Some(operation) = Operation::opening(&cell.facts()) {
            let before = cell.history().last(1)[0].begun;
            self.change(place, &cell, &operation).await;
            if cell.is_lost() || cell.history().last(1)[0].begun == before {
                return;
            }
        }
        tokio::time::sleep_until(self.rest_until[place].into()).await;
        self.without_token.retain(|other| *other != place);
        for _ in 0..TOKENS_EACH {
            let node = self.node();
            if !self.client.issue(node, &cell).await {
                self.without_token.push_back(place);
                return;
            }
        }
    }

    /// Puts a new cell in the place of one that is gone or lost.
    pub(super) async fn replace(&mut self, place: usize) {
        self.made += 1;
        let node = self.node();
        let label = format!("{}-{}-{}", self.client.world.tag, self.slots.start + place, self.made);
        let Some(cell) = self.client.make_cell(node, label).await else { return };
        let cell = Arc::new(cell);
        for _ in 0..TOKENS_EACH {
            let node = self.node();
            self.client.issue(node, &cell).await;
        }
        self.without_token.retain(|other| *other != place);
        self.gone_for[place] = 0;
        let slot = &self.client.world.cells[self.slots.start + place];
        *slot.write().unwrap_or_else(PoisonError::into_inner) = cell;
    }

    async fn change_common(&mut self) {
        let world = Arc::clone(&self.client.world);
        let node = self.node();
        match self.random.below(3) {
            0 => {
                let number = *world.endpoint.history().newest() + 1;
                let change = json!({"endpoint": {"url": format!("http://storm.test/v{number}")}});
                let path = format!("/endpoints/{}", world.endpoint_id);
                let asked = Asked::new(Method::PATCH, path, Some(change), 200);
                world.endpoint.history().begin(number, format!("{number} at node {node}"));
                let outcome = self.client.write(node, "change an endpoint", &asked).await;
                settle(&mut world.endpoint.history(), &outcome);
            }
            1 => {
                let place = self.random.below(ROLES);
                let number = *world.role_names[place].history().newest() + 1;
                let change = json!({"role": {"name": format!("{}-{place}-{number}", world.tag)}});
                let path = format!("/roles/{}", world.role_ids[place]);
                let asked = Asked::new(Method::PATCH, path, Some(change), 200);
                world.role_names[place].history().begin(number, format!("{number} at node {node}"));
                let outcome = self.client.write(node, "rename a role", &asked).await;
                settle(&mut world.role_names[place].history(), &outcome);
            }
            _ => {
                let there = !*world.implication.history().newest();
                let path = format!("/roles/{}/implies/{}", world.role_ids[IMPLYING], world.implied_id);
                let (method, status) = if there { (Method::PUT, 201) } else { (Method::DELETE, 204) };
                world.implication.history().begin(there, format!("{there} at node {node}"));
                let what = "change an implied role";
                let outcome = self.client.write(node, what, &Asked::new(method, path, None, status)).await;
                settle(&mut world.implication.history(), &outcome);
            }
        }
        let cell = world.cell(self.slots.start + self.random.below(self.slots.len()));
        let facts = cell.facts();
        if let Some(token) = cell.tokens().into_iter().rev().find(|token| facts.lives(token.serial)) {
            self.probe(&cell, &token);
        }
    }
}

fn settle<T>(history: &mut super::history::History<T>, outcome: &Result<Reply, Unanswered>) {
    match outcome {
        Ok(_) => history.answered(),
        Err(Unanswered::Perhaps) => history.unanswered(),
        Err(Unanswered::Refused) => history.refused(),
    }
}

/// Logs in and makes what all cells have in common.
pub(super) struct Prepared {
    pub(super) admin: HeaderValue,
    pub(super) role_ids: Vec<String>,
    pub(super) implied_id: String,
    pub(super) endpoint_id: String,
}

/// At the first node.
pub(super) async fn prepare(
    node: &super::world::Node,
    user: &str,
    user_password: &str,
    tag: &str,
) -> Result<Prepared, Error> {
    let mut connection = Connection::idle(&node.authority);
    let domain = json!({"id": "default"});
    let login = json!({"auth": {
        "identity": {"methods": ["password"], "password": {
            "user": {"name": user, "domain": domain, "password": user_password},
        }},
        "scope": {"project": {"name": "admin", "domain": domain}},
    }});
    let reply = connection.exchange_once(node.request(&Method::POST, "/auth/tokens", &[], Some(&login))?).await?;
    let admin = reply.headers.get(SUBJECT_TOKEN).filter(|_| reply.status == 201);
    let admin = admin.ok_or_else(|| Error::Storm(format!("logging in: {}", shown(&reply))))?.clone();
    let mut ids = Vec::new();
    let role = |name: String| ("/roles", "role", json!({ "name": name }));
    let mut things: Vec<(&str, &str, Value)> = (0..ROLES).map(|place| role(format!("{tag}-{place}-0"))).collect();
    things.push(role(format!("{tag}-implied")));
    things.push(("/services", "service", json!({"type": tag, "name": tag})));
    for (path, kind, body) in things {
        ids.push(made(&mut connection, node, &admin, path, kind, &body).await?);
    }
    let service_id = ids.pop().unwrap_or_default();
    let endpoint = json!({"service_id": service_id, "interface": "public", "url": "http://storm.test/v0"});
    let endpoint_id = made(&mut connection, node, &admin, "/endpoints", "endpoint", &endpoint).await?;
    let implied_id = ids.pop().unwrap_or_default();
    Ok(Prepared { admin, role_ids: ids, implied_id, endpoint_id })
}

async fn made(
    connection: &mut Connection,
    node: &super::world::Node,
    admin: &HeaderValue,
    path: &str,
    kind: &str,
    body: &Value,
) -> Result<String, Error> {
    let request = node.request(&Method::POST, path, &[(AUTH_TOKEN, admin)], Some(&json!({ kind: body })))?;
    let reply = connection.exchange_once(request).await?;
    let made: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match made[kind]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(Error::Storm(format!("making a {kind}: {}", shown(&reply)))),
    }
}
