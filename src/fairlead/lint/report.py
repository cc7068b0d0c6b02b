"""A report as other tools read it: SARIF 2.1.0 (code scanning) and JUnit (CI servers)."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from fairlead.lint.finding import Finding
from fairlead.lint.rule import rules
from fairlead.lint.run import Report

SARIF_LEVEL = {"error": "error", "warning": "warning", "info": "note"}
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def sarif(report: Report, version: str) -> dict[str, Any]:
    """One run, the rules that found something, each finding a result.

    The format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/
    """
    used = sorted({finding.rule for finding in report.findings})
    driver = {"name": "fairlead", "version": version, "rules": [_sarif_rule(rule) for rule in used]}
    results = [_sarif_result(finding, used.index(finding.rule)) for finding in report.findings]
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _sarif_rule(rule: str) -> dict[str, Any]:
    words = rules().get(rule)
    if words is None:  # of another linter
        return {"id": rule}
    return {
        "id": rule,
        "shortDescription": {"text": words.title},
        "fullDescription": {"text": words.why},
        "help": {"text": f"{words.fix}\n\nEvidence: {words.evidence}"},
        "defaultConfiguration": {"level": SARIF_LEVEL[words.severity]},
    }


def _sarif_result(finding: Finding, index: int) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    place = {"artifactLocation": {"uri": finding.file}, "region": region}
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": SARIF_LEVEL[finding.severity],
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }


def junit(report: Report) -> str:
    """One test case a finding; errors and warnings are failures, the rest is told as system-out."""
    bad = [finding for finding in report.findings if finding.severity != "info"]
    suite = ElementTree.Element(
        "testsuite", name="fairlead lint", tests=str(max(len(report.findings), 1)), failures=str(len(bad)), errors="0"
    )
    if not report.findings:
        ElementTree.SubElement(suite, "testcase", classname="fairlead.lint", name=f"{report.files} files")
    for finding in report.findings:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        case = ElementTree.SubElement(suite, "testcase", classname=finding.rule, name=place, file=finding.file)
        message = NOT_XML.sub("?", finding.message)
        if finding.severity == "info":
            ElementTree.SubElement(case, "system-out").text = message
        else:
            failure = ElementTree.SubElement(case, "failure", message=message, type=finding.severity)
            failure.text = f"{place}: {message}\nfix: {NOT_XML.sub('?', finding.fix)}"
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
