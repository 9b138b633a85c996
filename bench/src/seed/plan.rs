//! What the made cloud holds: each row by its number, the same every time.
//!
//! **Invariant:** no two rows of a table have the same key, whatever the sizes.

/// How large the cloud is.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// With a name of their own each.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub users: u64,
    /// In trees of ten, four deep.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub projects: u64,
    /// On projects and domains together; some of groups, some inherited.
    #[arg(long, default_value_t = 200_000)]
    pub assignments: u64,
    /// Spread over the domains, as the users.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub groups: u64,
    /// Of each group.
    #[arg(long, default_value_t = 20)]
    pub members: u64,
    /// Each region has some of each service.
    #[arg(long, default_value_t = 2_000)]
    pub endpoints: u64,
    /// Every fifth has the next four below it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    pub regions: u64,
    /// Besides the default domain; users, groups and projects are spread over them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub domains: u64,
    /// Besides the roles of bootstrap.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub roles: u64,
    /// One user in so many has a password.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub password_of_one_in: u64,
    /// Another seed, another cloud, which has room beside this one.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What has an id.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A domain.
    Domain = 1,
    /// A project.
    Project,
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
    /// A service.
    Service,
    /// An endpoint.
    Endpoint,
}

/// An assignment, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Assigned {
    /// As the column `type` has it.
    pub(super) kind: &'static str,
    /// Of a user or a group.
    pub(super) actor: u64,
    /// Of a project or a domain.
    pub(super) target: u64,
    /// None is bootstrap's `member`.
    pub(super) role: Option<u64>,
    pub(super) inherited: bool,
}

impl Plan {
    /// A cloud of a fiftieth of the usual size, for tests.
    pub fn small() -> Plan {
        Plan {
            users: 2_000,
            projects: 200,
            assignments: 4_000,
            groups: 50,
            members: 20,
            endpoints: 200,
            regions: 10,
            domains: 4,
            roles: 10,
            password_of_one_in: 2,
            seed: 1,
        }
    }

    /// What all names begin with.
    pub fn prefix(&self) -> String {
        if self.seed == 1 { "seed".to_owned() } else { format!("seed{}", self.seed) }
    }

    /// 32 hexadecimal digits, as the API makes them.
    pub fn id(&self, kind: Kind, number: u64) -> String {
        let start =
            self.seed.wrapping_mul(31).wrapping_add(kind as u64).wrapping_mul(0x1_0000_0000).wrapping_add(number);
        format!("{:016x}{:016x}", scattered(start), scattered(!start))
    }

    pub(super) fn domain_of(&self, number: u64) -> u64 {
        number % self.domains
    }

    /// All ten projects of a tree are in one domain.
    pub(super) fn domain_of_project(&self, project: u64) -> u64 {
        project / 10 % self.domains
    }

    /// The project above, if it isn't the domain.
    pub(super) fn parent(project: u64) -> Option<u64> {
        let root = project - project % 10;
        match project % 10 {
            0 => None,
            1..=5 => Some(root),
            6..=8 => Some(root + 1),
            _ => Some(root + 6),
        }
    }

    pub(super) fn has_password(&self, user: u64) -> bool {
        user.is_multiple_of(self.password_of_one_in)
    }

    /// One user in a hundred has gone.
    pub fn is_enabled(&self, user: u64) -> bool {
        user % 100 != 99
    }

    /// The number of the project that a user is at home in.
    pub fn home(&self, user: u64) -> u64 {
        user % self.projects
    }

    pub(super) fn services(&self) -> u64 {
        self.endpoints.div_ceil(3 * self.regions)
    }

    /// Each user at home first; then others, more in the projects of low numbers: the first has one user in a hundred
    /// of a cloud of 10,000 projects.
    pub(super) fn assignments(&self) -> impl Iterator<Item = Assigned> + Send {
        let all = self.assignments;
        // These few are worth many: each counts for every member or every project of the domain.
        let on_domains = (all / 10_000).min(self.users);
        let of_groups_below = (all / 1_000).min(self.groups * self.projects);
        let of_groups = (all / 20).min(self.groups * self.projects);
        let plan = self.clone();
        let below = (0..of_groups_below).map({
            let plan = plan.clone();
            move |n| plan.of_group(n, true)
        });
        let groups = (0..of_groups).map({
            let plan = plan.clone();
            move |n| plan.of_group(n, false)
        });
        let domains = (0..on_domains).map({
            let plan = plan.clone();
            move |n| Assigned {
                kind: "UserDomain",
                actor: n,
                target: plan.domain_of(n),
                role: Some(n % plan.roles),
                inherited: n.is_multiple_of(2),
            }
        });
        let rest = all - on_domains - of_groups_below - of_groups;
        let most = self.users * self.projects;
        let users = (0..rest.min(most)).map(move |n| plan.of_user(n));
        below.chain(groups).chain(domains).chain(users)
    }

    fn of_group(&self, n: u64, inherited: bool) -> Assigned {
        let (group, round) = (n % self.groups, n / self.groups);
        let target = (self.favourite(group) + round) % self.projects;
        Assigned { kind: "GroupProject", actor: group, target, role: Some(group % self.roles), inherited }
    }

    fn of_user(&self, n: u64) -> Assigned {
        let (user, round) = (n % self.users, n / self.users);
        let (target, role) = match round {
            0 => (self.home(user), None),
            _ => ((self.favourite(user) + round) % self.projects, Some((user + round) % self.roles)),
        };
        Assigned { kind: "UserProject", actor: user, target, role, inherited: false }
    }

    /// A project, a low one more likely.
    fn favourite(&self, number: u64) -> u64 {
        let random = scattered(number ^ self.seed.rotate_left(32)) % self.projects;
        u64::try_from(u128::from(random) * u128::from(random) / u128::from(self.projects)).unwrap_or(0)
    }

    /// The users of a group, each once.
    pub(super) fn members_of(&self, group: u64) -> impl Iterator<Item = u64> + use<> {
        let users = self.users;
        let members = self.members.min(users);
        (0..members).map(move |n| (group * members + n) % users)
    }
}

/// An id that no plan has.
pub(super) fn scattered_id(number: u64) -> String {
    let start = number ^ (1 << 63);
    format!("{:016x}{:016x}", scattered(start), scattered(!start))
}

/// Vigna's splitmix64: each number another, and no pattern to be seen.
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn plan(users: u64, projects: u64, assignments: u64, groups: u64) -> Plan {
        Plan { users, projects, assignments, groups, domains: 3, roles: 5, ..Plan::small() }
    }

    #[test]
    fn no_assignment_comes_twice() {
        for (users, projects, assignments, groups) in [(2000, 200, 40_000, 20), (3, 2, 6, 1), (7, 5, 35, 2)] {
            let plan = plan(users, projects, assignments, groups);
            let all: Vec<Assigned> = plan.assignments().collect();
            assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            assert_eq!(all.len() as u64, assignments);
            assert!(all.iter().all(|assigned| assigned.role.is_none_or(|role| role < plan.roles)));
        }
    }

    #[test]
    fn no_member_comes_twice_and_a_parent_comes_first() {
        let plan = plan(15, 200, 0, 3);
        let members: Vec<u64> = plan.members_of(2).collect();
        assert_eq!(members.iter().collect::<HashSet<_>>().len(), 15);
        for project in 0..200 {
            if let Some(parent) = Plan::parent(project) {
                assert!(parent < project);
                assert_eq!(plan.domain_of_project(parent), plan.domain_of_project(project));
            }
        }
    }

    #[test]
    fn ids_differ_between_kinds_and_seeds() {
        let one = plan(1, 1, 0, 1);
        let other = Plan { seed: 2, ..one.clone() };
        let ids = [one.id(Kind::User, 0), one.id(Kind::User, 1), one.id(Kind::Group, 0), other.id(Kind::User, 0)];
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 4);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
