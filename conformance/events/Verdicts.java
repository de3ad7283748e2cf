import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import software.amazon.event.ruler.GenericMachine;
import software.amazon.event.ruler.Machine;

/** What aws/event-ruler says of pairs; see README.md. */
public final class Verdicts {
    static String of(String rule, String event) throws Exception {
        Machine machine = new Machine();
        machine.addRule("r", rule);
        return machine.rulesForJSONEvent(event).isEmpty() ? "0" : "1";
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].endsWith(".json")) {
            StringBuilder verdicts = new StringBuilder();
            for (JsonNode one : new ObjectMapper().readTree(new File(arguments[0]))) {
                verdicts.append(of(one.get("rule").toString(), one.get("event").toString()));
            }
            System.out.println(verdicts);
            return;
        }
        int pairs = 0, differ = 0, refused = 0;
        for (String line : Files.readAllLines(Path.of(arguments[0]))) {
            String[] parts = line.split("\t");
            pairs++;
            try {
                String theirs = of(parts[1], parts[2]);
                if (!theirs.equals(parts[0])) {
                    differ++;
                    System.out.println("ours " + parts[0] + " theirs " + theirs + "\t" + parts[1] + "\t" + parts[2]);
                }
            } catch (Exception error) {
                refused++;
                System.out.println("refused: " + error.getMessage().lines().findFirst().get() + "\t" + parts[1]);
            }
        }
        System.out.println(pairs + " pairs, " + differ + " differ, " + refused + " refused");
    }
}
