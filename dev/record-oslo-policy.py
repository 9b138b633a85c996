#!/usr/bin/env python3
"""Records what oslo.policy makes of generated rules, for crates/oslo-policy/tests/reference.rs.

Needs oslo.policy 6.0.1:  dev/record-oslo-policy.py > crates/oslo-policy/tests/data/decisions.json

Each rule set is decided for every pair of credentials and target. One letter per decision:
  1 allowed   0 denied   e the reference raised an exception
  A allowed   D denied, but a comparison held only because null reads as "None" (Archstone is stricter there)
"""

import ast
import importlib.metadata
import json
import logging
import random
import sys

from oslo_config import cfg
from oslo_policy import _checks
from oslo_policy import policy

VERSION = '6.0.1'
SEED = 20260
RULE_SETS = 1500

CREDENTIALS = [
    {'user_id': 'u1', 'roles': ['admin'], 'project_id': 'p1', 'domain_id': None, 'system_scope': None},
    {'user_id': 'u2', 'roles': ['Reader', 'member'], 'project_id': None, 'domain_id': 'd1',
     'token': {'domain': {'id': 'd1'}, 'user': {'id': 'u2', 'domain': {'id': 'd1'}}}},
    {'user_id': 'u3', 'roles': [], 'system_scope': 'all', 'system': 'all', 'domain_id': None, 'is_admin': True,
     'limit': 3, 'ratio': 1.5, 'tags': ['x', 'y'], 'groups': [{'id': 'g1'}, {'id': 'g2', 'tags': ['x']}]},
    {'user_id': 'None', 'user-id': 'u1', 'roles': ['None', 'ÜBER'], 'token': {'project': {'id': 'p1', 'name': "it's"}},
     'groups': [], 'tags': [['x'], 'z'], 'enabled': False},
    {},
]

TARGETS = [
    {},
    {'user_id': 'u1', 'target': {'user': {'id': 'u1', 'domain_id': 'd1'}, 'role': {'name': 'member', 'domain_id': None}}},
    {'user_id': 'u2', 'target': {'project': {'id': 'p1', 'domain_id': None, 'tags': ['x', 'y'], 'enabled': True},
                                 'role': {'name': 'ADMIN', 'domain_id': 'd1'}}},
    {'user_id': None, 'target': {'user': {'id': 3, 'domain_id': 'None'}, 'project': {'id': "it's", 'enabled': False}},
     'request_body': {'limit': 1.5, 'options': {}}},
    {'user_id': 'x', 'target': {'role': {'name': 'über', 'domain_id': 'd2'}, 'user': {'id': 'u3', 'domain_id': 'd2'}}},
]

KINDS = ['user_id', 'domain_id', 'project_id', 'system_scope', 'system', 'is_admin', 'limit', 'ratio', 'tags', 'groups.id',
         'groups.tags', 'groups', 'token.domain.id', 'token.project.id', 'token.project.name', 'token.user.domain.id',
         'token', 'user_id.x', 'absent', 'absent.x', 'roles', 'user-id', 'enabled', 'None', 'True', 'False', "'member'",
         '"member"', "'it\\'s'", '3', '1.5', '-1', '1e3', '2fa', 'class', '', 'a.0', "''", "'a", 'Rule', 'ROLE', '1-2']
TEXTS = ['%(user_id)s', '%(target.user.id)s', '%(target.user.domain_id)s', '%(target.project.id)s',
         '%(target.project.domain_id)s', '%(target.project.tags)s', '%(target.project.enabled)s', '%(target.role.name)s',
         '%(target.role.domain_id)s', '%(request_body.limit)s', '%(request_body.options)s', '%(absent)s', '%(target)s',
         'u1', 'd1', 'all', 'True', 'None', 'x', 'g1', '3', '1.5', "it's", "['x']", '', '1', 'u%%1', 'u%(limit)s',
         '%(user_id)s%(target.user.id)s', '%(user_id)r', '100%', '%s', '%(user_id', 'a:b', '(x)', 'admin', 'member']
LIKELY = ['user_id:%(user_id)s', 'user_id:%(target.user.id)s', 'domain_id:%(target.user.domain_id)s',
          'domain_id:%(target.project.domain_id)s', 'domain_id:%(target.role.domain_id)s', 'None:%(target.role.domain_id)s',
          'None:%(target.project.domain_id)s', 'domain_id:None', 'project_id:%(target.project.id)s',
          'token.domain.id:%(target.user.domain_id)s', 'token.user.domain.id:%(target.role.domain_id)s',
          'token.project.id:%(target.project.id)s', 'token.project.name:%(target.project.id)s', 'tags:x', "tags:['x']",
          'groups.id:g2', 'groups.tags:x', 'is_admin:True', 'system_scope:all', 'limit:%(target.user.id)s',
          'ratio:%(request_body.limit)s', 'True:%(target.project.enabled)s', "'member':%(target.role.name)s", 'user-id:u1',
          'enabled:%(target.project.enabled)s', 'tags:%(target.project.tags)s', 'system_scope:%(target.role.domain_id)s']
ROLES = ['admin', 'ADMIN', 'reader', 'member', 'none', 'über', '%(target.role.name)s', '%(absent)s', '%(user_id)s',
         'ad%%min', '']
NAMES = ['a', 'b', 'c', 'absent', 'default']


def check(rng):
    kind = rng.random()
    if kind < 0.22:
        return 'role:' + rng.choice(ROLES)
    if kind < 0.36:
        return 'rule:' + rng.choice(NAMES[1:])
    if kind < 0.40:
        return rng.choice(['@', '!'])
    if kind < 0.70:
        return rng.choice(LIKELY)
    if kind < 0.72:
        return rng.choice(['admin', "'quoted'", '"q:1"', '@@', ':', '%', 'and', 'or', 'not', '(', ')', '()'])
    return rng.choice(KINDS) + ':' + rng.choice(TEXTS)


def expression(rng, depth):
    shape = rng.random()
    if depth == 0 or shape < 0.3:
        return check(rng)
    if shape < 0.45:
        return 'not ' + expression(rng, depth - 1)
    if shape < 0.65:
        return '(' + expression(rng, depth - 1) + ')'
    words = [' and ', ' or ', ' AND ', '\tor\n', ' and not ']
    return expression(rng, depth - 1) + rng.choice(words) + expression(rng, depth - 1)


def rule(rng):
    kind = rng.random()
    if kind < 0.06:
        return [rng.choice([check(rng), '', [], [check(rng)], [check(rng), check(rng)]]) for _ in range(rng.randrange(4))]
    if kind < 0.12:  # broken on purpose
        words = expression(rng, 3).split(' ')
        del words[rng.randrange(len(words))]
        return ' '.join(words)
    if kind < 0.14:
        return rng.choice(['', ' ', '\x1f@', '@\u00a0', '((@))', 'not', '"@"'])
    return expression(rng, rng.randrange(1, 4))


def rule_set(rng):
    rules = {'a': rule(rng)}
    for name in NAMES[1:3]:
        if rng.random() < 0.8:
            rules[name] = rule(rng)
    if rng.random() < 0.1:
        rules['default'] = check(rng)
    return rules


def flatten(target, prefix=''):
    flat = {}
    for key, value in target.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f'{prefix}{key}.'))
        else:
            flat[prefix + key] = value
    return flat


class Nulls:
    """Notices comparisons that hold because both sides read "None"."""

    def __init__(self):
        self.noticed = False
        self.generic = _checks.GenericCheck.__call__
        self.role = _checks.RoleCheck.__call__
        nulls = self

        def watched(original, is_literal):
            def call(check, target, creds, enforcer, current_rule=None):
                held = original(check, target, creds, enforcer, current_rule)
                if held and not is_literal(check.kind) and '%(' in check.match:
                    # Nothing else reads "None": if the comparison fails once null reads otherwise, it rested on null.
                    other = {k: 'null of the target' if v is None else v for k, v in target.items()}
                    if not original(check, other, creds, enforcer, current_rule) or not original(
                            check, target, replace_nulls(creds), enforcer, current_rule):
                        nulls.noticed = True
                return held
            return call

        _checks.GenericCheck.__call__ = watched(self.generic, literal)
        _checks.RoleCheck.__call__ = watched(self.role, lambda kind: False)


def literal(kind):
    try:
        ast.literal_eval(kind)
        return True
    except (ValueError, SyntaxError):
        return False


def replace_nulls(value):
    if value is None:
        return 'null of the token'
    if isinstance(value, dict):
        return {k: replace_nulls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [replace_nulls(v) for v in value]
    return value


def decide(rules, creds, target, nulls):
    conf = cfg.ConfigOpts()
    conf([])
    enforcer = policy.Enforcer(conf, use_conf=False, default_rule='default')
    enforcer.set_rules(policy.Rules.from_dict(rules, 'default'))
    nulls.noticed = False
    try:
        allowed = enforcer.enforce('a', flatten(target), json.loads(json.dumps(creds)))
    except (Exception, RecursionError):
        return 'e'
    if nulls.noticed:
        return 'A' if allowed else 'D'
    return '1' if allowed else '0'


def main():
    installed = importlib.metadata.version('oslo.policy')
    if installed != VERSION:
        sys.exit(f'oslo.policy {VERSION} is needed, {installed} is installed')
    logging.disable(logging.CRITICAL)
    rng = random.Random(SEED)
    nulls = Nulls()
    sets = []
    for _ in range(RULE_SETS):
        rules = rule_set(rng)
        decisions = ''.join(decide(rules, c, t, nulls) for c in CREDENTIALS for t in TARGETS)
        sets.append([rules, str(policy.Rules.from_dict(rules)['a']), decisions])
    head = json.dumps({'oslo.policy': VERSION, 'credentials': CREDENTIALS, 'targets': TARGETS}, ensure_ascii=False)
    lines = ',\n'.join(json.dumps(entry, ensure_ascii=False, separators=(',', ':')) for entry in sets)
    print(f'{head[:-1]}, "sets": [\n{lines}\n]}}')


if __name__ == '__main__':
    main()
