import Model
import Testing

@testable import Nftables

@Suite struct RulesetTests {
    @Test func readsChainsRulesAndJumps() throws {
        let json = """
            {"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}},
            {"table": {"family": "ip", "name": "filter", "handle": 1}},
            {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 1, "type": "filter",
            "hook": "forward", "prio": 0, "policy": "drop"}},
            {"chain": {"family": "ip", "table": "filter", "name": "DOCKER-USER", "handle": 4}},
            {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 5, "comment": "hello",
            "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "x"}},
            {"counter": {"packets": 0, "bytes": 0}}, {"jump": {"target": "DOCKER-USER"}}]}},
            {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 6, "expr": [{"drop": null}]}},
            {"set": {"family": "ip", "name": "s", "table": "filter", "type": "ipv4_addr", "handle": 9}}]}
            """
        let ruleset = try Ruleset(json: Array(json.utf8))
        #expect(ruleset.tables.map(\.name) == ["filter"])
        #expect(ruleset.chains.map(\.policy) == ["drop", nil] && ruleset.chains[0].hook == "forward")
        #expect(ruleset.rules[0].expressions.map(\.name) == ["match", "counter", "jump"])
        #expect(ruleset.rules[0].expressions.last?.target == "DOCKER-USER")
        #expect(ruleset.rules[0].comment == "hello" && ruleset.rules[1].expressions.map(\.name) == ["drop"])
    }

    @Test func nothingIsAnEmptyRuleset() throws {
        #expect(try Ruleset(json: []).tables.isEmpty)
        #expect(throws: EngineError.self) { try Ruleset(json: Array("{".utf8)) }
    }

    @Test func keepsTheMessagesAndDropsTheEcho() {
        let words = """
            internal:0:0-0: Error: Could not process rule: No such file or directory

            <cmdline>:1:6-9: Error: syntax error, unexpected string
            list nope
                 ^^^^
            """
        #expect(
            Nftables.error(words).message
                == "nftables refused: Could not process rule: No such file or directory; "
                + "syntax error, unexpected string")
    }
}
