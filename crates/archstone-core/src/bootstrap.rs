//! The first administrator, and what a cloud needs to begin with (`keystone.cmd.bootstrap`). Run again, it puts back
//! what is missing, and the administrator's password and account: a way back in.

use serde_json::{Map, Value};

use crate::Core;
use crate::assignment::{Actor, Grant, GrantTarget, Role};
use crate::authz::Allowed;
use crate::catalog::{Endpoint, EndpointPatch, Region, Service};
use crate::error::{Error, ErrorKind, Found as _, Result};
use crate::id::{DomainId, EndpointId, ProjectId, RegionId, RoleId, ServiceId, UserId};
use crate::identity::password::Password;
use crate::identity::{NewUser, UserPatch};
use crate::list::{Filter, ListQuery};
use crate::resource::{Domain, Project};

/// What is wanted.
#[derive(Clone)]
pub struct Bootstrap {
    /// The administrator's name.
    pub user_name: String,
    /// The administrator's password.
    pub password: Password,
    /// The administrator's project.
    pub project_name: String,
    /// The administrator's role.
    pub role_name: String,
    /// The name of the identity service in the catalog.
    pub service_name: String,
    /// The region of its endpoints.
    pub region_id: Option<String>,
    /// Its endpoints.
    pub urls: EndpointUrls,
    /// Whether roles that are made here cannot be changed.
    pub immutable_roles: bool,
}

/// The identity service's endpoints; none of them is needed.
#[derive(Clone, Debug, Default)]
pub struct EndpointUrls {
    /// For everybody.
    pub public: Option<String>,
    /// For the cloud's own services.
    pub internal: Option<String>,
    /// For administrators.
    pub admin: Option<String>,
}

impl Default for Bootstrap {
    fn default() -> Bootstrap {
        Bootstrap {
            user_name: "admin".to_owned(),
            password: Password::new(String::new()),
            project_name: "admin".to_owned(),
            role_name: "admin".to_owned(),
            service_name: "keystone".to_owned(),
            region_id: None,
            urls: EndpointUrls::default(),
            immutable_roles: true,
        }
    }
}

impl Core {
    /// Makes what is missing.
    pub async fn bootstrap(&self, wanted: Bootstrap) -> Result<()> {
        let allowed = Allowed::internal("bootstrap");
        let domain = self.bootstrap_domain(&allowed).await?;
        let project = self.bootstrap_project(&allowed, &domain, &wanted.project_name).await?;
        let user = self.bootstrap_user(&allowed, &domain, &wanted).await?;
        let admin = self.bootstrap_roles(&allowed, &wanted).await?;
        for target in [GrantTarget::Project(project), GrantTarget::System] {
            let actor = Actor::User(user.clone());
            let grant = Grant { role_id: admin.clone(), actor, target, inherited: false };
            self.assignment.create_grant(&allowed, &grant).await?;
        }
        self.bootstrap_catalog(&allowed, &wanted).await
    }

    async fn bootstrap_domain(&self, allowed: &Allowed) -> Result<DomainId> {
        let id = DomainId::from(self.config.identity.default_domain_id.as_str());
        let domain = Domain {
            id: id.clone(),
            name: "Default".to_owned(),
            description: Some("The default domain".to_owned()),
            enabled: true,
            tags: Vec::new(),
            options: Map::new(),
            extra: Map::new(),
        };
        unless_conflict(self.resource.create_domain(allowed, domain).await)?;
        Ok(id)
    }

    async fn bootstrap_project(&self, allowed: &Allowed, domain: &DomainId, name: &str) -> Result<ProjectId> {
        if let Some(project) = self.resource.get_project_by_name(name, domain).await? {
            return Ok(project.id);
        }
        let project = Project {
            description: Some("Bootstrap project for initializing the cloud.".to_owned()),
            ..Project::named(name, Some(domain.clone()))
        };
        Ok(self.resource.create_project(allowed, project).await?.id)
    }

    async fn bootstrap_user(&self, allowed: &Allowed, domain: &DomainId, wanted: &Bootstrap) -> Result<UserId> {
        let Some(user) = self.identity.get_user_by_name(&wanted.user_name, domain).await? else {
            let user = NewUser {
                password: Some(Some(wanted.password.clone())),
                ..NewUser::named(domain.clone(), wanted.user_name.as_str())
            };
            return Ok(self.identity.create_user(allowed, user).await?.id);
        };
        let mut patch = UserPatch::default();
        let (user_id, enabled) = (user.id.clone(), user.enabled);
        let as_of = self.foundation.observe().await?;
        let user = self.identity.find_user(as_of.moment, &user_id).await?;
        let proven = Box::pin(self.identity.authenticate_password(as_of, user, wanted.password.clone(), None)).await;
        match proven.map_err(Error::from) {
            // Nothing else runs here that would write the day.
            Ok(_) => self.identity.write_activity().await?,
            // Whatever stands in the way of this password, setting it anew removes.
            Err(Error { kind: ErrorKind::Unauthorized, .. }) => patch.password = Some(Some(wanted.password.clone())),
            Err(error) => return Err(error),
        }
        if !enabled {
            patch.enabled = Some(true);
        }
        if patch.enabled.is_some() || patch.password.is_some() {
            self.cascade.update_user(allowed, &user_id, patch).await?;
            tracing::info!(user = wanted.user_name, "the administrator's account was put back in order");
        }
        Ok(user_id)
    }

    async fn bootstrap_roles(&self, allowed: &Allowed, wanted: &Bootstrap) -> Result<RoleId> {
        let reader = self.ensure_role(allowed, "reader", wanted).await?;
        let member = self.ensure_role(allowed, "member", wanted).await?;
        let manager = self.ensure_role(allowed, "manager", wanted).await?;
        let admin = self.ensure_role(allowed, &wanted.role_name, wanted).await?;
        self.ensure_role(allowed, "service", wanted).await?;
        for (prior, implied) in [(&member, &reader), (&manager, &member), (&admin, &manager)] {
            unless_conflict(self.assignment.create_implied_role(allowed, prior, implied).await)?;
        }
        // Clouds from before the manager role have admin imply member directly.
        self.assignment.delete_implied_role(allowed, &admin, &member).await.found()?;
        Ok(admin)
    }

    async fn ensure_role(&self, allowed: &Allowed, name: &str, wanted: &Bootstrap) -> Result<RoleId> {
        if let Some(role) = self.assignment.get_role_by_name(allowed, name, None).await? {
            return Ok(role.id);
        }
        let mut options = Map::new();
        if wanted.immutable_roles {
            options.insert("immutable".to_owned(), true.into());
        }
        let role = Role {
            id: RoleId::new_random(),
            name: name.to_owned(),
            domain_id: None,
            description: None,
            options,
            extra: Map::new(),
        };
        Ok(self.assignment.create_role(allowed, role).await?.id)
    }

    async fn bootstrap_catalog(&self, allowed: &Allowed, wanted: &Bootstrap) -> Result<()> {
        if self.catalog.is_from_file() {
            tracing::info!("the region and the endpoints are those of [catalog] template_file: none is made");
            return Ok(());
        }
        let region_id = wanted.region_id.as_deref().map(RegionId::from);
        if let Some(id) = &region_id {
            let region =
                Region { id: id.clone(), description: String::new(), parent_region_id: None, extra: Map::new() };
            unless_conflict(self.catalog.create_region(allowed, region).await.map(drop))?;
        }
        let urls =
            [("public", &wanted.urls.public), ("internal", &wanted.urls.internal), ("admin", &wanted.urls.admin)];
        if urls.iter().all(|(_, url)| url.is_none()) {
            return Ok(());
        }
        let (services, _) = self.catalog.list_services(allowed, &exactly(&[("type", "identity")])).await?;
        let service_id = if let Some(service) = services.items.into_iter().next() {
            service.id
        } else {
            let service = Service {
                id: ServiceId::new_random(),
                service_type: Some("identity".to_owned()),
                enabled: true,
                extra: Map::from_iter([("name".to_owned(), Value::from(wanted.service_name.as_str()))]),
            };
            self.catalog.create_service(allowed, service).await?.id
        };
        let mut filters = vec![("service_id", &*service_id)];
        filters.extend(region_id.as_deref().map(|id| ("region_id", id)));
        let (endpoints, _) = self.catalog.list_endpoints(allowed, &exactly(&filters)).await?;
        for (interface, url) in urls {
            let Some(url) = url else { continue };
            if let Some(endpoint) = endpoints.items.iter().find(|endpoint| endpoint.interface == interface) {
                let patch = EndpointPatch { url: Some(url.clone()), ..EndpointPatch::default() };
                self.catalog.update_endpoint(allowed, &endpoint.id, &patch).await?;
                continue;
            }
            let endpoint = Endpoint {
                id: EndpointId::new_random(),
                interface: interface.to_owned(),
                url: url.clone(),
                service_id: service_id.clone(),
                region_id: region_id.clone(),
                enabled: true,
                extra: Map::new(),
            };
            self.catalog.create_endpoint(allowed, endpoint, None).await?;
        }
        Ok(())
    }
}

fn exactly(filters: &[(&str, &str)]) -> ListQuery {
    let filters = filters.iter().map(|(name, value)| Filter::equals(name, value)).collect();
    ListQuery { filters, ..ListQuery::default() }
}

/// What is there already is as good as what was made.
fn unless_conflict<T>(outcome: Result<T>) -> Result<()> {
    match outcome {
        Ok(_) | Err(Error { kind: ErrorKind::Conflict, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
