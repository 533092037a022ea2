import Model
import StateStore
import Testing

@testable import Engine

struct PoolPlaceTests {
    @Test func poolsBelowTheFolderOfTheDaemonFollowIt() async throws {
        try await EngineFixture.run { fixture in
            let state = fixture.layout.state
            for (name, source) in [
                ("file", state + "/pools/file.img"), ("beside", state + "-2/pool"), ("far", "/srv/pool"),
            ] {
                try await fixture.store.save(
                    PoolRecord(name: name, driver: "dir", config: ["source": source, "size": "1"], createdAt: 1))
            }
            let moved = fixture.folder + "/moved"
            let engine = fixture.successor(state: moved)
            try Folders.make(HostLayout(state: moved, run: fixture.layout.run))
            try await engine.start()
            let sources = try await fixture.store.pools().records.reduce(into: [:]) {
                $0[$1.name] = $1.config["source"]
            }
            #expect(
                sources == [
                    "default": moved, "file": moved + "/pools/file.img", "beside": state + "-2/pool",
                    "far": "/srv/pool",
                ])
            #expect(try await engine.pools.get("default").config["source"] == moved)
            await engine.shutdown()
        }
    }
}
