import Testing

@testable import BuildahBuilder

@Suite struct BuildOutputTests {
    @Test(
        "a failed command is told as Docker's classic builder does",
        arguments: [
            (#"x; Error: building at STEP "RUN exit 3": exit status 3"#, "/bin/sh -c exit 3", 3),
            (#"building at STEP "RUN a \"b\" c": exit status 1"#, #"/bin/sh -c a "b" c"#, 1),
            (#"building at STEP "RUN [\"false\", \"x\"]": exit status 1"#, "false x", 1),
        ])
    func failures(_ text: String, _ command: String, _ code: Int) {
        #expect(BuildOutput.failure(text) == "The command '\(command)' returned a non-zero code: \(code)")
    }

    @Test(arguments: [
        "", #"building at STEP "COPY a b": no such file"#, #"building at STEP "RUN x": exit status many"#,
    ])
    func otherErrors(_ text: String) { #expect(BuildOutput.failure(text) == nil) }
}
