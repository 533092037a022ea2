import Model
import Netlink
import Testing

@testable import Nftables

/// Each test plays in a network namespace of its own.
@Suite(.enabled(if: (try? NetworkNamespace.make()) != nil, "needs root: network namespaces"))
struct NftablesKernelTests {
    let nft: Nftables

    init() throws {
        nft = try NetworkNamespace.run(in: NetworkNamespace.make()) { try Nftables() }
    }

    @Test func aTransactionHappensWholeOrNotAtAll() throws {
        try nft.run("add table inet isletest")
        defer { _ = try? nft.run("delete table inet isletest") }
        let error = #expect(throws: EngineError.self) {
            try nft.run(
                """
                add chain inet isletest good { type filter hook forward priority filter; }
                add rule inet isletest nothere accept
                """)
        }
        #expect(error?.message.contains("No such file or directory") == true, "\(error?.message ?? "")")
        #expect(try nft.list("list chains").chains.allSatisfy { $0.table != "isletest" })
    }

    @Test func listsWhatWasAdded() throws {
        try nft.run(
            """
            table inet isletest {
                chain forward {
                    type filter hook forward priority filter; policy drop;
                    iifname "br0" counter accept comment "isle:br0"
                }
            }
            """)
        let ruleset = try nft.list("list ruleset")
        #expect(ruleset.tables.contains { $0.name == "isletest" })
        #expect(ruleset.chains.contains { $0.table == "isletest" && $0.hook == "forward" && $0.policy == "drop" })
        let rule = try #require(ruleset.rules.first { $0.comment == "isle:br0" })
        try nft.run("delete rule inet isletest forward handle \(rule.handle)")
        #expect(try nft.list("list ruleset").rules.allSatisfy { $0.comment != "isle:br0" })
        try nft.run("delete table inet isletest")
    }

    @Test func aSyntaxErrorIsSaid() throws {
        let error = #expect(throws: EngineError.self) { try nft.run("list nope") }
        #expect(error?.message.contains("syntax error") == true, "\(error?.message ?? "")")
        #expect(throws: Never.self) { try nft.run("list tables") }
    }

    @Test func manyThreadsShareOneContext() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask { [nft] in
                    try nft.run("add table inet islet\(number)")
                    try nft.run("delete table inet islet\(number)")
                }
            }
            try await group.waitForAll()
        }
        #expect(try nft.list("list tables").tables.allSatisfy { !$0.name.hasPrefix("islet") })
    }
}
