import Model
import Synchronization
import Testing

@testable import BuildahBuilder

@Suite struct DockerfileTests {
    private func read(_ text: String, _ values: [String: String] = [:], target: String? = nil) throws -> Dockerfile {
        try Dockerfile(text, values: values, target: target)
    }

    @Test("bases are named as written and with variables filled in")
    func bases() throws {
        let file = try read(
            """
            # escape=`
            ARG TAG=1.0
            ARG BASE=debian:${TAG:-9}
            FROM --platform=linux/amd64 $BASE AS Build
            # a comment
            RUN one && `
                two
            FROM build
            FROM scratch as last
            COPY --from=build /a /b
            COPY --from=0 /a /c
            COPY --chown=1:2 --from=other/image:2 /a /d
            RUN --mount=type=bind,from=tools,target=/t true
            """)
        #expect(file.bases.map(\.written) == ["$BASE", "other/image:2", "tools"])
        #expect(file.bases.map(\.name) == ["debian:1.0", "other/image:2", "tools"])
        #expect(file.steps == 8)
        #expect(try read("ARG A=x\nFROM $A", ["A": "y"]).bases[0].name == "y")
    }

    @Test("a target ends the build")
    func target() throws {
        let text = "FROM a AS one\nRUN x\nFROM b AS two\nRUN y"
        #expect(try read(text, target: "one").bases.map(\.name) == ["a"])
        #expect(try read(text, target: "0").steps == 2)
        #expect(try read(text, target: "two").steps == 4)
    }

    @Test("here-documents are seen")
    func heredocs() throws {
        #expect(try read("FROM a\nRUN <<EOF\nx\nEOF").hasHeredoc)
        #expect(try read("FROM a\nCOPY <<-\"EOF\" /x\nx\nEOF").hasHeredoc)
        #expect(try !read("FROM a\nRUN cat <<<word && echo $((1<<2))").hasHeredoc)
    }

    @Test(arguments: ["", "# nothing", "RUN x"])
    func withoutBase(_ text: String) {
        #expect { _ = try read(text) } throws: { ($0 as? EngineError)?.code == .invalidArgument }
    }

    @Test("lines are told as Docker's classic builder tells them")
    func output() {
        let lines = Mutex<[String]>([])
        let output = BuildOutput(total: 3, build: "abc", names: ["12ab": "a:1"]) { line in
            lines.withLock { $0.append(line) }
        }
        for line in [
            "[1/2] STEP 1/2: FROM 12ab AS x", "[1/2] STEP 2/2: RUN echo hi", "hi", "--> 65ab3834b231234567",
            "STEP 1/1: FROM b", "--> Using cache 0123456789abcdef", "COMMIT", "time=\"x\" level=info",
            String(repeating: "a", count: 64),
        ] {
            output.line(line)
        }
        #expect(
            lines.withLock { $0 } == [
                "Step 1/3 : FROM a:1 AS x", "Step 2/3 : RUN echo hi", " ---> Running in abc", "hi",
                " ---> 65ab3834b231",
                "Step 3/3 : FROM b", " ---> Using cache", " ---> 0123456789ab",
            ])
    }
}
