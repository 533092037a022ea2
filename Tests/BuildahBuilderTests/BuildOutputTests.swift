import Testing

@testable import BuildahBuilder

@Suite struct BuildOutputTests {
    @Test(
        "a failed command is told as Docker's classic builder does",
        arguments: [
            (#"x; Error: building at STEP "RUN exit 3": exit status 3"#, "The command '/bin/sh -c exit 3' returned a non-zero code: 3"),
            (#"building at STEP "RUN a \"b\" c": exit status 1"#, "The command '/bin/sh -c a \"b\" c' returned a non-zero code: 1"),
            (#"building at STEP "RUN [\"false\", \"x\"]": exit status 1"#, "The command 'false x' returned a non-zero code: 1"),
        ])
    func failures(_ text: String, _ expected: String) { #expect(BuildOutput.failure(text) == expected) }

    @Test(arguments: ["", "building at STEP \"COPY a b\": no such file", "building at STEP \"RUN x\": exit status many"])
    func otherErrors(_ text: String) { #expect(BuildOutput.failure(text) == nil) }
}
