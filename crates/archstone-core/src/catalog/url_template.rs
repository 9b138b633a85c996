//! The URLs of endpoints, with places for the project and the user (`keystone.common.utils.format_url`).
//!
//! **Invariant:** nothing but the names in [`Key`] is ever put into a URL (CVE-2014-3621).

/// What a URL can have a place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// `project_id`, or by its old name `tenant_id`.
    Project,
    User,
    /// An option that the reference no longer has, so that such an endpoint is in no catalog.
    ComputeHost,
    PublicEndpoint,
}

/// A piece of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Key),
}

/// A URL that was taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UrlTemplate(Vec<Piece>);

/// What goes into the places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Substitutions<'a> {
    /// The project of the scope; without one, endpoints that need it are left out.
    pub project_id: Option<&'a str>,
    /// The user.
    pub user_id: &'a str,
    /// `[DEFAULT] public_endpoint`.
    pub public_endpoint: Option<&'a str>,
}

impl UrlTemplate {
    /// Takes `http://h/$(project_id)s` apart. `%(…)s` means the same, and `%%` a percent sign: the reference formats
    /// with Python's `%`. Other conversions than `s`, and places for anything else, are what the error names.
    pub(crate) fn parse(url: &str) -> Result<UrlTemplate, String> {
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut rest = url;
        while let Some(at) = rest.find(['%', '$']) {
            let (before, found) = rest.split_at(at);
            text.push_str(before);
            if let Some(behind) = found.strip_prefix("%%") {
                text.push('%');
                rest = behind;
            } else if let Some(place) = found.strip_prefix("%(").or_else(|| found.strip_prefix("$(")) {
                let (name, behind) = place.split_once(')').ok_or("a place has no closing parenthesis")?;
                let behind = behind.strip_prefix('s').ok_or_else(|| format!("behind the place {name} is no s"))?;
                pieces.push(Piece::Text(std::mem::take(&mut text)));
                pieces.push(Piece::Place(key(name)?));
                rest = behind;
            } else if let Some(behind) = found.strip_prefix('$') {
                text.push('$');
                rest = behind;
            } else {
                return Err("a percent sign is not doubled".to_owned());
            }
        }
        text.push_str(rest);
        pieces.push(Piece::Text(text));
        Ok(UrlTemplate(pieces))
    }

    /// Whether the project is part of it.
    pub(crate) fn names_project(&self) -> bool {
        self.0.contains(&Piece::Place(Key::Project))
    }

    /// Whether the user is.
    pub(crate) fn names_user(&self) -> bool {
        self.0.contains(&Piece::Place(Key::User))
    }

    /// The URL; none if there is nothing for one of its places.
    pub(crate) fn fill(&self, values: &Substitutions<'_>) -> Option<String> {
        let mut url = String::new();
        for piece in &self.0 {
            url.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Place(Key::Project) => values.project_id?,
                Piece::Place(Key::User) => values.user_id,
                Piece::Place(Key::PublicEndpoint) => values.public_endpoint?,
                Piece::Place(Key::ComputeHost) => return None,
            });
        }
        Some(url)
    }
}

fn key(name: &str) -> Result<Key, String> {
    match name {
        "tenant_id" | "project_id" => Ok(Key::Project),
        "user_id" => Ok(Key::User),
        "compute_host" => Ok(Key::ComputeHost),
        "public_endpoint" => Ok(Key::PublicEndpoint),
        other => Err(format!("there is nothing for the place {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: Substitutions<'_> = Substitutions { project_id: Some("P"), user_id: "U", public_endpoint: None };
    const NO_PROJECT: Substitutions<'_> = Substitutions { project_id: None, user_id: "U", public_endpoint: None };

    // The reference's own functions say the same about these.
    #[test]
    fn places_are_filled_or_the_url_is_dropped() {
        for (url, usable, project, no_project) in [
            ("http://h:8774/v2.1/$(project_id)s", true, Some("http://h:8774/v2.1/P"), None),
            ("http://h/$(tenant_id)s", true, Some("http://h/P"), None),
            ("http://h/%(tenant_id)s", true, Some("http://h/P"), None),
            ("http://h/$(user_id)s", true, Some("http://h/U"), Some("http://h/U")),
            ("http://h/$(foo)s", false, None, None),
            ("http://h/$(tenant_id", false, None, None),
            ("http://h/$(project_id)d", false, None, None),
            ("http://h/%", false, None, None),
            ("http://h/100%", false, None, None),
            ("http://h/$(public_endpoint)s", true, None, None),
            ("http://h/$(admin_token)s", false, None, None),
            ("http://h/$(compute_host)s", true, None, None),
            ("http://h/100%%", true, Some("http://h/100%"), Some("http://h/100%")),
            ("http://h/$5/AUTH_%(user_id)s/x", true, Some("http://h/$5/AUTH_U/x"), Some("http://h/$5/AUTH_U/x")),
            ("http://h/é", true, Some("http://h/é"), Some("http://h/é")),
        ] {
            let template = UrlTemplate::parse(url);
            assert_eq!(template.is_ok(), usable, "{url}");
            let fill = |values| template.as_ref().ok().and_then(|template| template.fill(values));
            assert_eq!(fill(&PROJECT).as_deref(), project, "{url}");
            assert_eq!(fill(&NO_PROJECT).as_deref(), no_project, "{url}");
        }
    }

    #[test]
    fn the_public_endpoint_is_filled_in_where_it_is_set() {
        let values = Substitutions { public_endpoint: Some("https://k"), ..PROJECT };
        let template = UrlTemplate::parse("$(public_endpoint)s/x").unwrap();
        assert_eq!(template.fill(&values).as_deref(), Some("https://k/x"));
    }
}
