#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes org.tgt1(5) from what holds: the interfaces (XML), the actions (policy), the table of
methods (authority.c) and the errors (manager.h). Fails where one of them lacks what another has."""

import re
import sys
import xml.etree.ElementTree as ET


def fail(text):
    sys.exit(f'make-man.py: {text}')


def roff(text):
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + text if text[:1] in ".'" else text


def clean(comment):
    """Paragraphs of a comment."""
    return [' '.join(p.split()) for p in re.split(r'\n\s*\n', comment.strip())]


class Reader:
    """An interface with the comment that stands before each of its parts."""

    def __init__(self, path):
        parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
        root = ET.parse(path, parser=parser).getroot()
        self.path = path
        self.object = root.get('name')
        docs = self.documented(root)
        if len(docs) != 1 or docs[0][0].tag != 'interface':
            fail(f'{path}: expected one documented interface')
        self.interface, self.doc = docs[0]
        self.name = self.interface.get('name')
        self.members = self.documented(self.interface)

    def documented(self, parent):
        doc, found = None, []
        for child in parent:
            if child.tag is ET.Comment:
                doc = child.text
                continue
            if not doc:
                fail(f'{self.path}: {child.get("name")} is not documented')
            found.append((child, clean(doc)))
            doc = None
        return found


def read_authority(path):
    text = open(path, encoding='utf-8').read()
    words = dict(re.findall(r'#define (\w+) "([^"]+)"', text))
    words.update(re.findall(r'#define (ACTION_\w+) "([^"]+)"',
                            open(path[:-1] + 'h', encoding='utf-8').read()))
    rows = re.findall(r'\{ (\w+|"[^"]+"), "(\w+)", (\w+),', text)
    return {(words.get(i, i.strip('"')), m): words.get(a) for i, m, a in rows}


def read_errors(path):
    text = open(path, encoding='utf-8').read()
    defined = re.findall(r'#define ERROR_\w+ "([^"]+)"', text)
    errors = re.findall(r'/\* ([^*]+?) \*/\n#define ERROR_\w+ "([^"]+)"', text)
    if len(errors) != len(defined):
        fail(f'{path}: an error has no comment')
    return [(name, ' '.join(t.split())) for t, name in errors]


def read_policy(path):
    return [(a.get('id'), a.findtext('description'), a.findtext('defaults/allow_active'))
            for a in ET.parse(path).getroot().findall('action')]


class Page:
    def __init__(self):
        self.lines = []

    def add(self, *lines):
        self.lines += lines

    def section(self, name):
        self.add(f'.SH "{roff(name)}"')

    def paragraphs(self, doc):
        for i, p in enumerate(doc):
            if i:
                self.add('.PP')
            self.add(roff(p))

    def item(self, head, doc, extra=None):
        self.add('.TP', head)
        self.add(roff(doc[0]))
        for p in doc[1:]:
            self.add('.IP', roff(p))
        if extra:
            self.add('.IP', extra)


def arguments(member, direction):
    return ', '.join(f'{a.get("type")} \\fI{roff(a.get("name"))}\\fR'
                     for a in member.findall('arg') if a.get('direction', direction) == direction)


def head_of(member):
    name = f'\\fB{roff(member.get("name"))}\\fR'
    if member.tag == 'property':
        return f'{name} {roff(member.get("type"))}'
    if member.tag == 'signal':
        return f'{name}({arguments(member, "out")})'
    out = arguments(member, 'out')
    return f'{name}({arguments(member, "in")})' + (f' \\(-> {out}' if out else '')


def emits(member):
    for a in member.findall('annotation'):
        if a.get('name').endswith('EmitsChangedSignal'):
            return {'const': 'It does not change.',
                    'false': 'No signal tells when it changes.'}[a.get('value')]
    return None


def write_interface(page, reader, actions):
    page.section(f'INTERFACE {reader.name}')
    page.add('Object \\fI' + roff(reader.object) + '\\fR.', '.PP')
    page.paragraphs(reader.doc)
    for kind, title in (('property', 'Properties'), ('method', 'Methods'), ('signal', 'Signals')):
        members = [(m, d) for m, d in reader.members if m.tag == kind]
        if members:
            page.add(f'.SS {title}')
        for member, doc in members:
            extra = emits(member) if kind == 'property' else None
            if kind == 'method':
                key = (reader.name, member.get('name'))
                if key not in actions:
                    fail(f'{key} has no row in the table of methods')
                action = actions.pop(key)
                extra = f'Action: \\fB{roff(action)}\\fR.' if action else None
            page.item(head_of(member), doc, extra)


INTRODUCTION = [
    '.SH NAME', 'org.tgt1 \\- the D-Bus interface of tgtd',
    '.SH SYNOPSIS',
    '.nf', 'busctl tree org.tgt1', 'busctl introspect org.tgt1 /org/tgt1',
    'busctl monitor org.tgt1', '.fi',
    '.SH DESCRIPTION',
    '.BR tgtd (8)',
    'serves its targets, logical units, access lists, accounts, portals and sessions as objects',
    'under the name org.tgt1 on the system bus. The first call starts it. /org/tgt1 is an',
    'org.freedesktop.DBus.ObjectManager; where there are many objects, the methods that list in',
    'pages are quicker than GetManagedObjects. Changes of properties are told by',
    'org.freedesktop.DBus.Properties, once for all that happened together.',
    '.PP',
    'Anybody may read. Every method that changes something is authorized by polkit first, with',
    'the action named beside it; the target, LUN, initiator, user or path that it is about goes',
    'with the question as a detail, so that a rule can hand one target to one user. Secrets are',
    'taken and never given, except by Dump with an action of its own.',
    '.PP',
    'The same objects are served peer-to-peer on a private socket, for root and the user of',
    'tgtd; nobody else is let in there, and polkit is not asked.',
]

EXAMPLES = [
    '.SH EXAMPLES',
    'A target with a LUN, for one initiator:',
    '.PP', '.nf',
    'busctl call org.tgt1 /org/tgt1 org.tgt1.Manager CreateTarget "sa{sas}a{sv}" \\e',
    '    iqn.2024\\-01.net.example:disk 2 \\e',
    '    backing\\-store 1 /srv/disk.img \\e',
    '    initiator\\-name 1 iqn.1993\\-08.org.debian:01:abc 0',
    '.fi', '.PP',
    'Members of the group backup may add LUNs to one target (a file in /etc/polkit\\-1/rules.d):',
    '.PP', '.nf',
    'polkit.addRule(function(action, subject) {',
    '    if (action.id == "org.tgt1.lun.manage" && subject.isInGroup("backup") &&',
    '        action.lookup("target") == "iqn.2024\\-01.net.example:backup")',
    '        return polkit.Result.YES;',
    '});',
    '.fi',
    '.SH "SEE ALSO"',
    '.BR tgtd (8),', '.BR tgtctl (1),', '.BR targets.conf (5),', '.BR busctl (1),', '.BR polkit (8)',
]


def main(version, authority, errors, policy, *interfaces):
    page = Page()
    actions = read_authority(authority)
    page.add('.\\" generated by dbus/make-man.py',
             f'.TH ORG.TGT1 5 "" "tgt {roff(version)}" "tgt"', *INTRODUCTION)
    for path in interfaces:
        write_interface(page, Reader(path), actions)
    if actions:
        fail(f'methods in the table that no interface has: {sorted(actions)}')

    page.section('ERRORS')
    for name, text in read_errors(errors):
        page.item(f'\\fB{roff(name)}\\fR', [text[0].upper() + text[1:] + '.'])
    page.item('\\fBorg.freedesktop.DBus.Error.AccessDenied\\fR',
              ['polkit said no; the text names the action.'])
    page.item('\\fBorg.freedesktop.DBus.Error.InteractiveAuthorizationRequired\\fR',
              ['polkit wants a password, and the call does not allow to ask for one.'])
    page.section('ACTIONS')
    for name, text, default in read_policy(policy):
        page.item(f'\\fB{roff(name)}\\fR', [f'{text} (default: {default}).'])
    page.add(*EXAMPLES)
    print('\n'.join(page.lines))


main(*sys.argv[1:])
