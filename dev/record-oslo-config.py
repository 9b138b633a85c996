#!/usr/bin/env python3
"""Records what oslo.config makes of values and files, for crates/oslo-config/tests/reference.rs.

Needs oslo.config 10.7.0:  dev/record-oslo-config.py > crates/oslo-config/tests/data/values.json

Two parts. `types`: what each type makes of each text. `files`: what a fixed set of options is after reading a
few files and environment variables; files are hand-made ones and ones put together from awkward pieces.
Values: null, text, true/false, integers, {"float": "1.5"}, lists, {"dict": [[key, value], ...]}, {"error": true}.
"""

import importlib.metadata
import json
import logging
import os
import random
import re
import sys
import tempfile

from oslo_config import cfg
from oslo_config import types

SEED = 20261
RANDOM_FILES = 600
RANDOM_TEXTS = 160

TYPES = {
    'String': types.String(),
    "String(choices=['sql', 'Ldap', ''])": types.String(choices=['sql', 'Ldap', '']),
    "String(choices=['Days', 'Weekday'], ignore_case=True)": types.String(choices=['Days', 'Weekday'], ignore_case=True),
    'String(quotes=True, max_length=5)': types.String(quotes=True, max_length=5),
    'Boolean': types.Boolean(),
    'Integer': types.Integer(),
    'Integer(min=-1, max=10)': types.Integer(min=-1, max=10),
    'Float': types.Float(),
    'Float(min=0, max=4.5)': types.Float(min=0, max=4.5),
    'Port': types.Port(),
    'List(item=String)': types.List(),
    'List(bounds=True, item=String)': types.List(bounds=True),
    'List(item=Integer)': types.List(types.Integer()),
    'List(item=String(quotes=True))': types.List(types.String(quotes=True)),
    "List(item=String(choices=['event', 'a,b']))": types.List(types.String(choices=['event', 'a,b'])),
    'Dict(value=String)': types.Dict(),
    'Dict(bounds=True, value=Integer)': types.Dict(types.Integer(), bounds=True),
    'Dict(value=List(bounds=True, item=String))': types.Dict(types.List(bounds=True)),
    'IPAddress': types.IPAddress(),
    'Hostname': types.Hostname(),
    'HostAddress': types.HostAddress(),
    'URI': types.URI(),
    "URI(max_length=20, schemes=['http', 'https'])": types.URI(max_length=20, schemes=['http', 'https']),
}

TEXTS = [
    '', ' ', '\n', ',', ',,', 'a', ' a ', 'a,b', 'a, b', 'a,b,', ',a', 'a,,b', '\na,\nb', 'event', 'event,event', 'event,a,b', 'a,b,event',
    'event,x', 'sql', 'SQL', 'ldap', 'Ldap', 'days', 'WEEKDAY', 'Weekdays', 'true', 'True', 'TRUE', 'yes', 'on', 'ON', '1', 't', 'y', 'false',
    'False', 'no', 'off', '0', 'f', 'n', 'enabled', ' true', 'true ', '-1', '+1', '--1', '10', '11', '010', '1_0', '1__0', '_1', '1_', '0x1', '1e1',
    '1.0', '1.', '.1', '.', '-.5e-3', '4.5', '4.6', '-0', '-0.0', 'inf', '-inf', 'nan', 'Infinity', 'infinit', '1e400', '1e-400', '1e22', '0.1',
    '\u0663', '\u0661.\u0665', '\uff11', '\u00b2', '\u0bf0', '1 2', '1\t', '\u00a01\u2003', '\x1c1\x1f', '\u200b1', '9223372036854775807', '-9223372036854775808',
    '65535', '65536', '0o7', '1,2,3', '1,x', '1, 2,', '[1,2]', '[a,b', 'a,b]', '[]', '[ ]', '[,]', '[a],', ' [a] ', '[[a],[b]]', '"', '""', "'", '"a"', '"a', 'a"',
    "'a\"", '"a,b",c', '"a","b,c"', '"a,b', '""""', '"\u00e9\u00e9\u00e9\u00e9\u00e9"', '\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9', 'a:b', 'a:b,c:d', 'a: b , c :d', 'a:b:c', 'a:b,c', 'a', ':b',
    'a:', 'a:1,a:2', 'a:1,b:x', '{a:1}', '{a:1', 'a:1}', '{}', '{ }', '{a:1,b:2}', 'a:[1,2],b:[3]', 'a:[],b:[x]', 'a:[1,2', 'a:b,[c]', 'a:[x],:[y]', 'a:[b],a:[c]',
    '127.0.0.1', '127.0.0.01', '127.1', '256.0.0.1', '1.2.3.4.5', '1.2.3.4 ', '::1', '::', '::ffff:1.2.3.4', '1::2::3', '[::1]', 'fe80::1%eth0', '12345::',
    'localhost', 'localhost.', '.', '..', 'a..b', 'a.b', 'a-b.c', '-a.b', 'a-.b', 'a_b', 'a.1', 'a.1b', '1.a', 'A.B', '\u00e4.de', 'x' * 63, 'x' * 64, '.'.join(['y' * 63] * 4),
    '.'.join(['y' * 49] * 5) + '.abc', '.'.join(['y' * 49] * 5) + '.abcd', 'a b', 'a.-', '1.-1',
    'http://h', 'http://h/', 'https://h:5000/v3', 'HTTP://h', 'http://', 'http:///p', 'http:/h', 'http:h', 'http', '//h/p', '/p', 'h:80', 'http://h:', 'http://h:x', 'http://h:123456',
    'http://h:99999', 'http://1.2.3.4', 'http://1.2.3.256', 'http://1.2.3', 'http://1.2.3.1234', 'http://[::1]', 'http://[::1]:5/', 'http://[::1', 'http://::1/', 'http://[1.2.3.4]', 'http://[v1.a:b]',
    'http://[fe80::1%25e]', 'http://[fe80::1%e]', 'http://[::ffff:1.2.3.4]', 'http://[::1.2.3.400]', 'http://u@h', 'http://u:p@h', 'http://@h', 'http://u@', 'http://u@v@h', 'http://u%40@h', 'http://u%4@h', 'http://h/a b',
    'http://h/%20', 'http://h/%2', 'http://h/%zz', 'http://h//x', 'http://h/a:@!$&()*+,;=~', 'http://h/[x]', 'http://h/"', 'http://h?q', 'http://h?q w', 'http://h#f', 'http://h/\u00e4', 'http://\u00e4/', 'http://h_x/', 'http://h%41/',
    'http://h\\x', 'http://h/\\x', 'x+y-z.1://h', '1x://h', '+x://h', 'x_y://h', 'http://-h-/', 'http://a..b/', 'http://h:0080/', 'http://h:80:90/', 'http://123456789012345', 'http://1234567890123456', ' http://h', 'http://h ',
]

PIECES = ['a', 'b', ',', ',', ':', '[', ']', '{', '}', '"', "'", ' ', '1', '2', '.', '-', '_', '%41', '/', '//', 'http:', '@', '::', 'event', 'true', '\u00e9', '=', '$', '\\', '\t', '\n', 'e']


def encode(value):
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return {'float': repr(value)}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {'dict': [[key, encode(item)] for key, item in value.items()]}
    raise TypeError(value)


def too_big(value):
    return isinstance(value, int) and not -2**63 <= value < 2**63


def record_types(rng):
    texts = list(TEXTS)
    while len(texts) < len(TEXTS) + RANDOM_TEXTS:
        texts.append(''.join(rng.choice(PIECES) for _ in range(rng.randint(2, 9))))
    results = {}
    for name, kind in TYPES.items():
        results[name] = []
        for text in texts:
            try:
                results[name].append(encode(kind(text)))
            except ValueError:
                results[name].append({'error': True})
    return {'texts': texts, 'results': results}


# Group, name, type, multi, default, older names.
OPTIONS = [
    ('DEFAULT', 'debug', 'Boolean', False, False, []),
    ('DEFAULT', 'name', 'String', False, 'node', []),
    ('DEFAULT', 'log_dir', 'String', False, None, [('DEFAULT', 'logdir')]),
    ('DEFAULT', 'log_file', 'String', False, '$log_dir/$name.log', [('DEFAULT', 'log-config'), ('DEFAULT', 'logfile')]),
    ('DEFAULT', 'opt_out', 'String', True, ['x.y', 'z'], []),
    ('DEFAULT', 'ratio', 'Float', False, 1e22, []),
    ('token', 'expiration', 'Integer(min=0, max=9223372036854775807)', False, 3600, [('DEFAULT', 'expiration')]),
    ('token', 'provider', 'String', False, 'fernet', [('identity', 'provider')]),
    ('token', 'methods', 'List(item=String)', False, ['password', "it's"], [('auth', 'methods'), ('DEFAULT', 'methods')]),
    ('token', 'name', 'String', False, None, []),
    ('identity', 'driver', 'String', False, 'sql', []),
    ('identity', 'map', 'Dict(value=String)', False, {}, []),
    ('identity', 'policy_dirs', 'String', True, ['policy.d'], [('DEFAULT', 'policy_dirs'), ('old', 'dirs')]),
    ('identity', 'limit', 'Integer', False, None, []),
    ('cache', 'socket_timeout', 'Float', False, 1.0, [('cache', 'memcache_socket_timeout'), ('cache', 'redis_socket_timeout')]),
    ('cache', 'enabled', 'Boolean', False, True, []),
]

HAND_MADE = [
    [''], ['\n\n'], ['# only a comment'], ['[DEFAULT]'], ['[DEFAULT]\n'], ['\ufeff[DEFAULT]\nname=x'],
    ['name = x'], ['[]\n'], ['[DEFAULT\nname=x'], ['[DEFAULT] # c\nname=x'], ['[DEFAULT]\nname'], ['[DEFAULT]\n= x'], ['[DEFAULT]\n  name = x'],
    ['[DEFAULT]\nname = x\n\n  y'], ['[DEFAULT]\nname = x\n# c\n  y'], ['[DEFAULT]\nname = x\n; c\ny=1'], ['[DEFAULT]\nname =\n  x\n  y\n'], ['[DEFAULT]\nname = "x\n  y"\n'],
    ['[DEFAULT]\nname = x\n   \n  y'], ['[DEFAULT]\r\nname = x\r\nlog_dir=y\r\n'], ['[DEFAULT]\rname = x\rlog_dir=y\r'], ['[DEFAULT]\nname = x\x0bdebug=1\x0clog_dir=2\x1clog_dir=3\u2028log_dir=4\x85log_dir=5\n'],
    ['[DEFAULT]\nname : x = y'], ['[DEFAULT]\nname = x : y'], ['[DEFAULT]\nname: x'], ['[DEFAULT]\n name = x'], ['[DEFAULT]\nname = # x'], ['[DEFAULT]\nname = x # y'], ['[DEFAULT]\nname =\n  # x\n  y'],
    ['[DEFAULT]\nname = "x"'], ["[DEFAULT]\nname = 'x'"], ['[DEFAULT]\nname = "x\''], ['[DEFAULT]\nname = "'], ['[DEFAULT]\nname = ""'], ['[DEFAULT]\nname = " x "'], ['[DEFAULT]\nname = "x" "y"'], ['[DEFAULT]\nname = \'"x"\''],
    ['[default]\nname = x'], ['[Default]\nname = x'], ['[TOKEN]\nprovider = x'], ['[Token]\nprovider = x\n[token]\nprovider = y\n[TOKEN]\nprovider = z'], ['[ token ]\nprovider = x'], ['[token]x]\nprovider=y'],
    ['[token]\nProvider = x'], ['[token]\nprovider=x\nprovider=y'], ['[token]\nprovider=x', '[token]\nprovider=y'], ['[token]\nprovider=x', '[token]\nname=y'],
    ['[DEFAULT]\nlog-dir = x'], ['[DEFAULT]\nlog-config = x'], ['[DEFAULT]\nlog_config = x'], ['[DEFAULT]\nlogfile = x\nlog_config = y\nlog-config = z'], ['[DEFAULT]\nlog_file = x', '[DEFAULT]\nlogfile = y'], ['[DEFAULT]\nlogfile = y\nlog_file = x'],
    ['[DEFAULT]\nopt_out = a\nopt_out = b', '[DEFAULT]\nopt_out = c'], ['[DEFAULT]\nopt_out ='], ['[DEFAULT]\nopt_out = a,b'], ['[DEFAULT]\nopt_out = $name\nopt_out = $opt_out'],
    ['[identity]\npolicy_dirs=1\n[DEFAULT]\npolicy_dirs=2\n[old]\ndirs=3', '[old]\ndirs=4\n[identity]\npolicy_dirs=5'], ['[identity]\nprovider=old'], ['[identity]\nprovider=old\n[token]\nprovider=new'], ['[token]\nprovider=new', '[identity]\nprovider=old'],
    ['[DEFAULT]\nexpiration = 5'], ['[token]\nexpiration = 5', '[DEFAULT]\nexpiration = 6'], ['[token]\nexpiration ='], ['[token]\nexpiration = -1'], ['[token]\nexpiration = x', '[token]\nexpiration = 1'],
    ['[DEFAULT]\nname = $log_dir'], ['[DEFAULT]\nname = $debug $ratio $opt_out'], ['[DEFAULT]\nname = ${debug}x${ratio}'], ['[DEFAULT]\nname = $token.methods|$identity.map|$token.expiration|$identity.limit|$cache.socket_timeout'],
    ['[DEFAULT]\nname = $nothing'], ['[DEFAULT]\nname = $token'], ['[DEFAULT]\nname = $token.'], ['[DEFAULT]\nname = $token.nothing'], ['[DEFAULT]\nname = $nothing.x'], ['[DEFAULT]\nname = $DEFAULT.debug'], ['[DEFAULT]\nname = $TOKEN.provider'], ['[DEFAULT]\nname = $name'],
    ['[DEFAULT]\nname = $log_dir\nlog_dir = $name'], ['[DEFAULT]\nname = $$x \\$y $ $1 ${ $} ${x'], ['[DEFAULT]\nname = \\\\$debug'], ['[DEFAULT]\nname = $$$debug'], ['[DEFAULT]\nname = $Debug'], ['[DEFAULT]\nname = $debug.'], ['[DEFAULT]\nname = $logdir\nlog_dir=d'],
    ['[token]\nprovider = $name\nname = mine'], ['[token]\nprovider = $name'], ['[token]\nprovider = $driver'], ['[token]\nprovider = $identity.driver'], ['[token]\nprovider = $token.debug'], ['[token]\nname = $expiration\nexpiration = x'], ['[token]\nexpiration = $cache.enabled'], ['[token]\nexpiration = ${identity.limit}7\n[identity]\nlimit = 4'],
    ['[token]\nmethods = $methods'], ['[token]\nmethods = a,$provider'], ['[token]\nmethods = $opt_out'], ['[identity]\nmap = a:$driver,b:c'], ['[identity]\nmap = a:b\ndriver = $map'], ['[identity]\nmap = $map'], ['[identity]\npolicy_dirs = $driver\npolicy_dirs = $nope'],
    ['[cache]\nredis_socket_timeout = 3\nmemcache_socket_timeout = 2'], ['[cache]\nenabled = TRUE'], ['[cache]\nenabled ='], ['[cache]\nenabled = "yes"'], ['[cache]\nenabled = yes\n  no'], ['[cache]\nenabled = $debug'],
    ['[DEFAULT]\nratio = inf\nname = $ratio'], ['[DEFAULT]\nratio = 0.00001\nname = $ratio'], ['[DEFAULT]\nratio = 123456789012345678\nname = $ratio'], ['[DEFAULT]\nratio = 1e15\nname = $ratio'], ['[DEFAULT]\nratio = -0.0\nname=$ratio'],
    ["[token]\nmethods = it's, \"q\", b\\s\nname = $methods"], ['[token]\nmethods = \t, \u00e9, \u0001\nname = $methods'],
]

ENVIRONMENTS = [
    {}, {}, {}, {'OS_DEFAULT__NAME': 'env'}, {'OS_TOKEN__PROVIDER': '$name', 'OS_TOKEN__EXPIRATION': '7'}, {'OS_TOKEN__EXPIRATION': ''}, {'OS_CACHE__ENABLED': ' no'},
    {'OS_TOKEN__METHODS': 'a, b'}, {'OS_DEFAULT__LOGFILE': 'x', 'OS_DEFAULT__LOG_FILE': 'y'}, {'OS_IDENTITY__MAP': 'x:"y"'}, {'OS_token__PROVIDER': 'no'},
]

LINES = [
    '[DEFAULT]', '[token]', '[identity]', '[cache]', '[Token]', '[old]', '[auth]', '', '', '# c', '; c', '   ', '  more', '\tmore', '  # more', 'name = x', 'name=$identity.driver', 'name = ${token.provider}!', 'log_dir = /var/$name',
    'log-config = l', 'log_config = m', 'logfile = n', 'opt_out = o1', 'opt_out = $name', 'opt_out: o2', 'ratio = .5', 'ratio = x', 'debug = on', 'debug = maybe', 'expiration = 5', 'expiration = -5', 'expiration = $limit',
    'provider = "jws"', "provider = 'jws", 'provider = $provider', 'methods = a, b ,', 'methods =', 'methods = $name,$log_dir', 'driver = $token.methods', 'driver = $$x', 'driver = \\$x', 'map = a:b, c:d', 'map = a', 'map = $driver',
    'policy_dirs = p1', 'policy_dirs = $map', 'dirs = p2', 'limit = 4', 'limit =', 'limit = $identity.limit', 'limit = 0x1', 'socket_timeout = 2', 'memcache_socket_timeout = 3', 'redis_socket_timeout = 4', 'enabled = 0', 'enabled = $debug', 'unknown = 1',
]
BAD_LINES = ['nonsense', '= x', '[', '[x', '[]', ' : ']


def random_files(rng):
    files = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        lines = [rng.choice(['[DEFAULT]', '[token]', '[identity]'])] + [rng.choice(LINES) for _ in range(rng.randint(1, 12))]
        lines = [line for at, line in enumerate(lines) if not (line.startswith((' ', '\t')) and line.strip() and not continues(lines, at) and rng.random() < 0.95)]
        if rng.random() < 0.05:
            lines.insert(rng.randint(0, len(lines)), rng.choice(BAD_LINES))
        files.append(rng.choice(['\n', '\n', '\r\n']).join(lines))
    return files


def continues(lines, at):
    before = lines[at - 1] if at else ''
    return bool(before.strip()) and not before.startswith(('[', '#', ';'))


def make_option(name, kind, multi, default, older):
    older = [cfg.DeprecatedOpt(old, group=group) for group, old in older]
    if multi:
        return cfg.MultiOpt(name, item_type=kind, default=default, deprecated_opts=older)
    return cfg.Opt(name, type=kind, default=default, deprecated_opts=older)


def record_files(files, environment):
    kinds = dict(TYPES)
    kinds['Integer(min=0, max=9223372036854775807)'] = types.Integer(min=0, max=sys.maxsize)
    conf = cfg.ConfigOpts()
    for group, name, kind, multi, default, older in OPTIONS:
        conf.register_opt(make_option(name, kinds[kind], multi, default, older), group=None if group == 'DEFAULT' else group)
    case = {'files': files, 'environment': environment}
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, text in enumerate(files):
            paths.append(os.path.join(folder, f'{index}.conf'))
            with open(paths[-1], 'w', newline='') as file:
                file.write(text)
        os.environ.update(environment)
        try:
            conf(args=[], default_config_files=paths, default_config_dirs=[])
        except cfg.ConfigFileParseError as error:
            index, line = re.search(r'/(\d+)\.conf:(\d+), ', str(error)).groups()
            case['parse_error'] = [int(index), int(line)]
        else:
            case['values'] = [read_value(conf, option) for option in OPTIONS]
        finally:
            for name in environment:
                del os.environ[name]
    return case


def read_value(conf, option):
    group, name = option[:2]
    try:
        return encode(conf[name] if group == 'DEFAULT' else conf[group][name])
    except (ValueError, cfg.Error, RecursionError):
        return {'error': True}


def main():
    logging.disable()
    rng = random.Random(SEED)
    cases = [record_files(files, {}) for files in HAND_MADE]
    for environment in ENVIRONMENTS:
        cases.append(record_files(['[token]\nprovider=file\nexpiration=1\n[DEFAULT]\nname=file\n'], environment))
    for _ in range(RANDOM_FILES):
        cases.append(record_files(random_files(rng), rng.choice(ENVIRONMENTS)))
    options = [dict(zip(('group', 'name', 'type', 'multi', 'default', 'older'), option)) for option in OPTIONS]
    for option in options:
        option['default'] = encode(option['default'])
    recorded = {
        'oslo.config': importlib.metadata.version('oslo.config'),
        'types': record_types(rng),
        'options': options,
        'files': cases,
    }
    print(json.dumps(recorded, ensure_ascii=True, separators=(',', ':')).replace('},{"files"', '},\n{"files"'))


main()
