//! Tags of projects (`keystone.resource.core`, the functions on project tags).

use archstone_db::Tx;

use super::{IMMUTABLE, Project, Resource, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::ProjectId;

impl Resource {
    /// Adds a tag. 404 for the project, 403 if it is immutable, 400 if it has the tag already.
    pub async fn create_project_tag(&self, allowed: &Allowed, id: &ProjectId, tag: &str) -> Result<()> {
        let asked = tag;
        let tag = tag.trim();
        self.change_tags(allowed, id, |tags| {
            if tags.iter().any(|known| known == asked) {
                return Err(Error::bad_request(format!("The project {id} has the tag {asked} already.")));
            }
            if !tags.iter().any(|known| known == tag) {
                tags.push(tag.to_owned());
            }
            Ok(())
        })
        .await?;
        self.foundation.events.emit(Event::new("project tag", "created", tag, allowed));
        Ok(())
    }

    /// Takes a tag away. 404 for the project or the tag, 403 if the project is immutable.
    pub async fn delete_project_tag(&self, allowed: &Allowed, id: &ProjectId, tag: &str) -> Result<()> {
        self.change_tags(allowed, id, |tags| {
            let before = tags.len();
            tags.retain(|known| known != tag);
            if tags.len() == before { Err(Error::not_found("project tag", tag)) } else { Ok(()) }
        })
        .await?;
        self.foundation.events.emit(Event::new("project tag", "deleted", tag, allowed));
        Ok(())
    }

    /// Replaces all tags. 404 for the project, 403 if it is immutable.
    pub async fn update_project_tags(&self, allowed: &Allowed, id: &ProjectId, tags: &[String]) -> Result<Vec<String>> {
        let new: Vec<String> = tags.iter().map(|tag| tag.trim().to_owned()).collect();
        let set = &new;
        self.change_tags(allowed, id, |tags| {
            tags.clone_from(set);
            Ok(())
        })
        .await?;
        Ok(new)
    }

    async fn change_tags<F>(&self, allowed: &Allowed, id: &ProjectId, change: F) -> Result<()>
    where
        F: Fn(&mut Vec<String>) -> Result<()> + Send + Sync,
    {
        let change = &change;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let original = require_mutable(tx, id).await?;
                    let mut updated = original.clone();
                    change(&mut updated.tags)?;
                    sql::update_project(tx, &original, &updated).await?;
                    // The row's own id: a database that ignores case finds it by another, too.
                    tx.touch(Ref::Project(updated.id.clone()).into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("project", "updated", &**id, allowed));
        Ok(())
    }
}

async fn require_mutable(tx: &mut Tx<'_>, id: &ProjectId) -> Result<Project> {
    sql::take_projects(tx, std::slice::from_ref(id)).await?;
    let project = sql::get_project(tx, id).await?.ok_or_else(|| Error::not_found("project", id))?;
    if project.is_immutable() {
        return Err(Error::forbidden_open(format!(
            "Cannot change the tags of the project {id}: it is immutable. Set its option {IMMUTABLE} to false first."
        )));
    }
    Ok(project)
}
