-- The schema of Keystone 30.0.0 (MariaDB, MySQL): what its `db_sync` makes on an empty database.

CREATE TABLE `access_rule` (
    `id` int NOT NULL AUTO_INCREMENT,
    `service` varchar(64) DEFAULT NULL,
    `path` varchar(128) DEFAULT NULL,
    `method` varchar(16) DEFAULT NULL,
    `external_id` varchar(64) DEFAULT NULL,
    `user_id` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `duplicate_access_rule_for_user_constraint` (`user_id`,`service`,`path`,`method`),
    KEY `user_id` (`user_id`),
    KEY `external_id` (`external_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `consumer` (
    `id` varchar(64) NOT NULL,
    `description` varchar(64) DEFAULT NULL,
    `secret` varchar(64) NOT NULL,
    `extra` text NOT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `access_token` (
    `id` varchar(64) NOT NULL,
    `access_secret` varchar(64) NOT NULL,
    `authorizing_user_id` varchar(64) NOT NULL,
    `project_id` varchar(64) NOT NULL,
    `role_ids` text NOT NULL,
    `consumer_id` varchar(64) NOT NULL,
    `expires_at` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `ix_access_token_authorizing_user_id` (`authorizing_user_id`),
    KEY `ix_access_token_consumer_id` (`consumer_id`),
    CONSTRAINT `access_token_ibfk_1` FOREIGN KEY (`consumer_id`) REFERENCES `consumer` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `alembic_version` (
    `version_num` varchar(32) NOT NULL,
    PRIMARY KEY (`version_num`)
) ENGINE=InnoDB;

CREATE TABLE `application_credential` (
    `internal_id` int NOT NULL AUTO_INCREMENT,
    `id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    `secret_hash` varchar(255) NOT NULL,
    `description` text DEFAULT NULL,
    `user_id` varchar(64) NOT NULL,
    `project_id` varchar(64) DEFAULT NULL,
    `expires_at` bigint DEFAULT NULL,
    `system` varchar(64) DEFAULT NULL,
    `unrestricted` tinyint(1) DEFAULT NULL,
    PRIMARY KEY (`internal_id`),
    UNIQUE KEY `duplicate_app_cred_constraint` (`user_id`,`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `application_credential_access_rule` (
    `application_credential_id` int NOT NULL,
    `access_rule_id` int NOT NULL,
    PRIMARY KEY (`application_credential_id`,`access_rule_id`),
    KEY `access_rule_id` (`access_rule_id`),
    CONSTRAINT `application_credential_access_rule_ibfk_1` FOREIGN KEY (`application_credential_id`) REFERENCES `application_credential` (`internal_id`) ON DELETE CASCADE,
    CONSTRAINT `application_credential_access_rule_ibfk_2` FOREIGN KEY (`access_rule_id`) REFERENCES `access_rule` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `application_credential_role` (
    `application_credential_id` int NOT NULL,
    `role_id` varchar(64) NOT NULL,
    PRIMARY KEY (`application_credential_id`,`role_id`),
    CONSTRAINT `application_credential_role_ibfk_1` FOREIGN KEY (`application_credential_id`) REFERENCES `application_credential` (`internal_id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `assignment` (
    `type` enum('UserProject','GroupProject','UserDomain','GroupDomain') NOT NULL,
    `actor_id` varchar(64) NOT NULL,
    `target_id` varchar(64) NOT NULL,
    `role_id` varchar(64) NOT NULL,
    `inherited` tinyint(1) NOT NULL,
    PRIMARY KEY (`type`,`actor_id`,`target_id`,`role_id`,`inherited`),
    KEY `ix_actor_id` (`actor_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `config_register` (
    `type` varchar(64) NOT NULL,
    `domain_id` varchar(64) NOT NULL,
    PRIMARY KEY (`type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `credential` (
    `id` varchar(64) NOT NULL,
    `user_id` varchar(64) NOT NULL,
    `project_id` varchar(64) DEFAULT NULL,
    `type` varchar(255) NOT NULL,
    `extra` text DEFAULT NULL,
    `key_hash` varchar(64) NOT NULL,
    `encrypted_blob` text NOT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `region` (
    `id` varchar(255) NOT NULL,
    `description` varchar(255) NOT NULL,
    `parent_region_id` varchar(255) DEFAULT NULL,
    `extra` text DEFAULT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `service` (
    `id` varchar(64) NOT NULL,
    `type` varchar(255) DEFAULT NULL,
    `enabled` tinyint(1) NOT NULL DEFAULT 1,
    `extra` text DEFAULT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `endpoint` (
    `id` varchar(64) NOT NULL,
    `legacy_endpoint_id` varchar(64) DEFAULT NULL,
    `interface` varchar(8) NOT NULL,
    `service_id` varchar(64) NOT NULL,
    `url` text NOT NULL,
    `extra` text DEFAULT NULL,
    `enabled` tinyint(1) NOT NULL DEFAULT 1,
    `region_id` varchar(255) DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `fk_endpoint_region_id` (`region_id`),
    KEY `service_id` (`service_id`),
    CONSTRAINT `endpoint_service_id_fkey` FOREIGN KEY (`service_id`) REFERENCES `service` (`id`),
    CONSTRAINT `fk_endpoint_region_id` FOREIGN KEY (`region_id`) REFERENCES `region` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `endpoint_group` (
    `id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    `description` text DEFAULT NULL,
    `filters` text NOT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `group` (
    `id` varchar(64) NOT NULL,
    `domain_id` varchar(64) NOT NULL,
    `name` varchar(64) NOT NULL,
    `description` text DEFAULT NULL,
    `extra` text DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `ixu_group_name_domain_id` (`domain_id`,`name`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `identity_provider` (
    `id` varchar(64) NOT NULL,
    `enabled` tinyint(1) NOT NULL,
    `description` text DEFAULT NULL,
    `domain_id` varchar(64) NOT NULL,
    `authorization_ttl` int DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `domain_id` (`domain_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `user` (
    `id` varchar(64) NOT NULL,
    `extra` text DEFAULT NULL,
    `enabled` tinyint(1) DEFAULT NULL,
    `default_project_id` varchar(64) DEFAULT NULL,
    `created_at` datetime DEFAULT NULL,
    `last_active_at` date DEFAULT NULL,
    `domain_id` varchar(64) NOT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `ixu_user_id_domain_id` (`id`,`domain_id`),
    KEY `ix_default_project_id` (`default_project_id`),
    KEY `domain_id` (`domain_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `expiring_user_group_membership` (
    `user_id` varchar(64) NOT NULL,
    `group_id` varchar(64) NOT NULL,
    `idp_id` varchar(64) NOT NULL,
    `last_verified` datetime NOT NULL,
    PRIMARY KEY (`user_id`,`group_id`,`idp_id`),
    KEY `group_id` (`group_id`),
    KEY `idp_id` (`idp_id`),
    CONSTRAINT `expiring_user_group_membership_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `user` (`id`),
    CONSTRAINT `expiring_user_group_membership_ibfk_2` FOREIGN KEY (`group_id`) REFERENCES `group` (`id`),
    CONSTRAINT `expiring_user_group_membership_ibfk_3` FOREIGN KEY (`idp_id`) REFERENCES `identity_provider` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `federation_protocol` (
    `id` varchar(64) NOT NULL,
    `idp_id` varchar(64) NOT NULL,
    `mapping_id` varchar(64) NOT NULL,
    `remote_id_attribute` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`,`idp_id`),
    KEY `idp_id` (`idp_id`),
    CONSTRAINT `federation_protocol_ibfk_1` FOREIGN KEY (`idp_id`) REFERENCES `identity_provider` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `federated_user` (
    `id` int NOT NULL AUTO_INCREMENT,
    `user_id` varchar(64) NOT NULL,
    `idp_id` varchar(64) NOT NULL,
    `protocol_id` varchar(64) NOT NULL,
    `unique_id` varchar(255) NOT NULL,
    `display_name` varchar(255) DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `idp_id` (`idp_id`,`protocol_id`,`unique_id`),
    KEY `federated_user_protocol_id_fkey` (`protocol_id`,`idp_id`),
    KEY `user_id` (`user_id`),
    CONSTRAINT `federated_user_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `user` (`id`) ON DELETE CASCADE,
    CONSTRAINT `federated_user_ibfk_2` FOREIGN KEY (`idp_id`) REFERENCES `identity_provider` (`id`) ON DELETE CASCADE,
    CONSTRAINT `federated_user_protocol_id_fkey` FOREIGN KEY (`protocol_id`, `idp_id`) REFERENCES `federation_protocol` (`id`, `idp_id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `id_mapping` (
    `public_id` varchar(64) NOT NULL,
    `domain_id` varchar(64) NOT NULL,
    `local_id` varchar(255) NOT NULL,
    `entity_type` enum('user','group') NOT NULL,
    PRIMARY KEY (`public_id`),
    UNIQUE KEY `domain_id` (`domain_id`,`local_id`,`entity_type`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `idp_remote_ids` (
    `idp_id` varchar(64) DEFAULT NULL,
    `remote_id` varchar(255) NOT NULL,
    PRIMARY KEY (`remote_id`),
    KEY `idp_id` (`idp_id`),
    CONSTRAINT `idp_remote_ids_ibfk_1` FOREIGN KEY (`idp_id`) REFERENCES `identity_provider` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `role` (
    `id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    `extra` text DEFAULT NULL,
    `domain_id` varchar(64) NOT NULL DEFAULT '<<null>>',
    `description` varchar(255) DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `ixu_role_name_domain_id` (`name`,`domain_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `implied_role` (
    `prior_role_id` varchar(64) NOT NULL,
    `implied_role_id` varchar(64) NOT NULL,
    PRIMARY KEY (`prior_role_id`,`implied_role_id`),
    KEY `implied_role_implied_role_id_fkey` (`implied_role_id`),
    CONSTRAINT `implied_role_implied_role_id_fkey` FOREIGN KEY (`implied_role_id`) REFERENCES `role` (`id`) ON DELETE CASCADE,
    CONSTRAINT `implied_role_prior_role_id_fkey` FOREIGN KEY (`prior_role_id`) REFERENCES `role` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `limit` (
    `id` varchar(64) NOT NULL,
    `project_id` varchar(64) DEFAULT NULL,
    `resource_limit` int NOT NULL,
    `description` text DEFAULT NULL,
    `internal_id` int NOT NULL AUTO_INCREMENT,
    `registered_limit_id` varchar(64) DEFAULT NULL,
    `domain_id` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`internal_id`),
    UNIQUE KEY `limit_id_key` (`id`),
    KEY `registered_limit_id` (`registered_limit_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `local_user` (
    `id` int NOT NULL AUTO_INCREMENT,
    `user_id` varchar(64) NOT NULL,
    `domain_id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    `failed_auth_count` int DEFAULT NULL,
    `failed_auth_at` datetime DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `domain_id` (`domain_id`,`name`),
    UNIQUE KEY `user_id` (`user_id`),
    KEY `local_user_user_id_fkey` (`user_id`,`domain_id`),
    CONSTRAINT `local_user_user_id_fkey` FOREIGN KEY (`user_id`, `domain_id`) REFERENCES `user` (`id`, `domain_id`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `mapping` (
    `id` varchar(64) NOT NULL,
    `rules` text NOT NULL,
    `schema_version` varchar(5) NOT NULL DEFAULT '1.0',
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `nonlocal_user` (
    `domain_id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    `user_id` varchar(64) NOT NULL,
    PRIMARY KEY (`domain_id`,`name`),
    UNIQUE KEY `ixu_nonlocal_user_user_id` (`user_id`),
    KEY `nonlocal_user_user_id_fkey` (`user_id`,`domain_id`),
    CONSTRAINT `nonlocal_user_user_id_fkey` FOREIGN KEY (`user_id`, `domain_id`) REFERENCES `user` (`id`, `domain_id`) ON DELETE CASCADE ON UPDATE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `password` (
    `id` int NOT NULL AUTO_INCREMENT,
    `local_user_id` int NOT NULL,
    `expires_at` datetime DEFAULT NULL,
    `self_service` tinyint(1) NOT NULL DEFAULT 0,
    `password_hash` varchar(255) DEFAULT NULL,
    `created_at_int` bigint NOT NULL DEFAULT 0,
    `expires_at_int` bigint DEFAULT NULL,
    `created_at` datetime NOT NULL,
    PRIMARY KEY (`id`),
    KEY `local_user_id` (`local_user_id`),
    CONSTRAINT `password_ibfk_1` FOREIGN KEY (`local_user_id`) REFERENCES `local_user` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `policy` (
    `id` varchar(64) NOT NULL,
    `type` varchar(255) NOT NULL,
    `blob` text NOT NULL,
    `extra` text DEFAULT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `policy_association` (
    `id` varchar(64) NOT NULL,
    `policy_id` varchar(64) NOT NULL,
    `endpoint_id` varchar(64) DEFAULT NULL,
    `service_id` varchar(64) DEFAULT NULL,
    `region_id` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `endpoint_id` (`endpoint_id`,`service_id`,`region_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `project` (
    `id` varchar(64) NOT NULL,
    `name` varchar(64) NOT NULL,
    `extra` text DEFAULT NULL,
    `description` text DEFAULT NULL,
    `enabled` tinyint(1) DEFAULT NULL,
    `domain_id` varchar(64) NOT NULL,
    `parent_id` varchar(64) DEFAULT NULL,
    `is_domain` tinyint(1) NOT NULL DEFAULT 0,
    PRIMARY KEY (`id`),
    UNIQUE KEY `ixu_project_name_domain_id` (`domain_id`,`name`),
    KEY `project_parent_id_fkey` (`parent_id`),
    CONSTRAINT `project_domain_id_fkey` FOREIGN KEY (`domain_id`) REFERENCES `project` (`id`),
    CONSTRAINT `project_parent_id_fkey` FOREIGN KEY (`parent_id`) REFERENCES `project` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `project_endpoint` (
    `endpoint_id` varchar(64) NOT NULL,
    `project_id` varchar(64) NOT NULL,
    PRIMARY KEY (`endpoint_id`,`project_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `project_endpoint_group` (
    `endpoint_group_id` varchar(64) NOT NULL,
    `project_id` varchar(64) NOT NULL,
    PRIMARY KEY (`endpoint_group_id`,`project_id`),
    KEY `idx_project_id` (`project_id`),
    CONSTRAINT `project_endpoint_group_ibfk_1` FOREIGN KEY (`endpoint_group_id`) REFERENCES `endpoint_group` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `project_option` (
    `project_id` varchar(64) NOT NULL,
    `option_id` varchar(4) NOT NULL,
    `option_value` text DEFAULT NULL,
    PRIMARY KEY (`project_id`,`option_id`),
    CONSTRAINT `project_option_ibfk_1` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `project_tag` (
    `project_id` varchar(64) NOT NULL,
    `name` varchar(255) NOT NULL,
    PRIMARY KEY (`project_id`,`name`),
    CONSTRAINT `project_tag_ibfk_1` FOREIGN KEY (`project_id`) REFERENCES `project` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `registered_limit` (
    `id` varchar(64) NOT NULL,
    `service_id` varchar(255) DEFAULT NULL,
    `region_id` varchar(64) DEFAULT NULL,
    `resource_name` varchar(255) DEFAULT NULL,
    `default_limit` int NOT NULL,
    `description` text DEFAULT NULL,
    `internal_id` int NOT NULL AUTO_INCREMENT,
    PRIMARY KEY (`internal_id`),
    UNIQUE KEY `registered_limit_id_key` (`id`),
    KEY `region_id` (`region_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `request_token` (
    `id` varchar(64) NOT NULL,
    `request_secret` varchar(64) NOT NULL,
    `verifier` varchar(64) DEFAULT NULL,
    `authorizing_user_id` varchar(64) DEFAULT NULL,
    `requested_project_id` varchar(64) NOT NULL,
    `role_ids` text DEFAULT NULL,
    `consumer_id` varchar(64) NOT NULL,
    `expires_at` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `ix_request_token_consumer_id` (`consumer_id`),
    CONSTRAINT `request_token_ibfk_1` FOREIGN KEY (`consumer_id`) REFERENCES `consumer` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `revocation_event` (
    `id` int NOT NULL AUTO_INCREMENT,
    `domain_id` varchar(64) DEFAULT NULL,
    `project_id` varchar(64) DEFAULT NULL,
    `user_id` varchar(64) DEFAULT NULL,
    `role_id` varchar(64) DEFAULT NULL,
    `trust_id` varchar(64) DEFAULT NULL,
    `consumer_id` varchar(64) DEFAULT NULL,
    `access_token_id` varchar(64) DEFAULT NULL,
    `issued_before` datetime NOT NULL,
    `expires_at` datetime DEFAULT NULL,
    `revoked_at` datetime NOT NULL,
    `audit_id` varchar(32) DEFAULT NULL,
    `audit_chain_id` varchar(32) DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `ix_revocation_event_issued_before` (`issued_before`),
    KEY `ix_revocation_event_user_id_issued_before` (`user_id`,`issued_before`),
    KEY `ix_revocation_event_audit_id_issued_before` (`audit_id`,`issued_before`),
    KEY `ix_revocation_event_new_revoked_at` (`revoked_at`),
    KEY `ix_revocation_event_project_id_issued_before` (`project_id`,`issued_before`),
    KEY `ix_revocation_event_project_id_user_id` (`project_id`,`user_id`),
    KEY `ix_revocation_event_composite` (`issued_before`,`user_id`,`project_id`,`audit_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `role_option` (
    `role_id` varchar(64) NOT NULL,
    `option_id` varchar(4) NOT NULL,
    `option_value` text DEFAULT NULL,
    PRIMARY KEY (`role_id`,`option_id`),
    CONSTRAINT `role_option_ibfk_1` FOREIGN KEY (`role_id`) REFERENCES `role` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `sensitive_config` (
    `domain_id` varchar(64) NOT NULL,
    `group` varchar(255) NOT NULL,
    `option` varchar(255) NOT NULL,
    `value` text NOT NULL,
    PRIMARY KEY (`domain_id`,`group`,`option`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `service_provider` (
    `auth_url` varchar(256) NOT NULL,
    `id` varchar(64) NOT NULL,
    `enabled` tinyint(1) NOT NULL,
    `description` text DEFAULT NULL,
    `sp_url` varchar(256) NOT NULL,
    `relay_state_prefix` varchar(256) NOT NULL,
    PRIMARY KEY (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `system_assignment` (
    `type` varchar(64) NOT NULL,
    `actor_id` varchar(64) NOT NULL,
    `target_id` varchar(64) NOT NULL,
    `role_id` varchar(64) NOT NULL,
    `inherited` tinyint(1) NOT NULL,
    PRIMARY KEY (`type`,`actor_id`,`target_id`,`role_id`,`inherited`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `token` (
    `id` varchar(64) NOT NULL,
    `expires` datetime DEFAULT NULL,
    `extra` text DEFAULT NULL,
    `valid` tinyint(1) NOT NULL,
    `trust_id` varchar(64) DEFAULT NULL,
    `user_id` varchar(64) DEFAULT NULL,
    PRIMARY KEY (`id`),
    KEY `ix_token_expires_valid` (`expires`,`valid`),
    KEY `ix_token_user_id` (`user_id`),
    KEY `ix_token_expires` (`expires`),
    KEY `ix_token_trust_id` (`trust_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `trust` (
    `id` varchar(64) NOT NULL,
    `trustor_user_id` varchar(64) NOT NULL,
    `trustee_user_id` varchar(64) NOT NULL,
    `project_id` varchar(64) DEFAULT NULL,
    `impersonation` tinyint(1) NOT NULL,
    `deleted_at` datetime DEFAULT NULL,
    `expires_at` datetime DEFAULT NULL,
    `remaining_uses` int DEFAULT NULL,
    `extra` text DEFAULT NULL,
    `expires_at_int` bigint DEFAULT NULL,
    `redelegated_trust_id` varchar(64) DEFAULT NULL,
    `redelegation_count` int DEFAULT NULL,
    PRIMARY KEY (`id`),
    UNIQUE KEY `duplicate_trust_constraint` (`trustor_user_id`,`trustee_user_id`,`project_id`,`impersonation`,`expires_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `trust_role` (
    `trust_id` varchar(64) NOT NULL,
    `role_id` varchar(64) NOT NULL,
    PRIMARY KEY (`trust_id`,`role_id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `user_group_membership` (
    `user_id` varchar(64) NOT NULL,
    `group_id` varchar(64) NOT NULL,
    PRIMARY KEY (`user_id`,`group_id`),
    KEY `group_id` (`group_id`),
    CONSTRAINT `fk_user_group_membership_group_id` FOREIGN KEY (`group_id`) REFERENCES `group` (`id`),
    CONSTRAINT `fk_user_group_membership_user_id` FOREIGN KEY (`user_id`) REFERENCES `user` (`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `user_option` (
    `user_id` varchar(64) NOT NULL,
    `option_id` varchar(4) NOT NULL,
    `option_value` text DEFAULT NULL,
    PRIMARY KEY (`user_id`,`option_id`),
    CONSTRAINT `user_option_ibfk_1` FOREIGN KEY (`user_id`) REFERENCES `user` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

CREATE TABLE `whitelisted_config` (
    `domain_id` varchar(64) NOT NULL,
    `group` varchar(255) NOT NULL,
    `option` varchar(255) NOT NULL,
    `value` text NOT NULL,
    PRIMARY KEY (`domain_id`,`group`,`option`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8;

INSERT INTO alembic_version (version_num) VALUES ('742c857f1dfb'), ('c88cdce8f248');

INSERT INTO project (id, name, extra, description, enabled, domain_id, parent_id, is_domain)
VALUES ('<<keystone.domain.root>>', '<<keystone.domain.root>>', '{}', '', 0, '<<keystone.domain.root>>', NULL, 1);
