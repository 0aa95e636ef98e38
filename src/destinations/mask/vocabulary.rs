//! The words that vendors write their messages with. As a single word of a longer value they tell nothing of it.

/// Whether a word in lower case is one of theirs.
pub(super) fn is_vendors(word: &str) -> bool {
    WORDS.split_ascii_whitespace().any(|known| known == word)
}

/// From the error messages of Salesforce's REST and SOAP guides, of the tables of meaning (`salesforce::failure`,
/// `commcare::failure`) and of dimagi/commcare-hq's receiver, with the words that English joins them by. No name of a
/// person or place is among them.
const WORDS: &str = "
    a about above access accessible account action activate active add additional after again all allowed already also an
    and another any apex api application are argument array as at attachment attempt attempted attempting attribute
    authorization available bad based be because been before begin below between body boolean bound bulk but by call
    called calls can cannot case cases caused causing change changed character characters check choose chunks class code
    collection column columns commcare commit component concurrent conflict connection constraint contact contains content
    convert could count cpu create created creating credentials cross current currently custom data database date datetime
    decimal default defined delete deleted dependency deserialize details detected did different digits disabled dml do
    document does domain double due duplicate duplicated duplicates during each edit either element email empty enabled end
    entered entity error errors exceed exceeded exceeds exception exclusive execute execution exist existing exists
    expected expired external fail failed failing fails failure false feature field fields file filter find first flow for
    foreign form format forms found from full function future give given group has have heap higher id ids if illegal in
    inactive include index information input insert instance insufficient integer internal into invalid is it iterations
    its job key keys large last length less limit limited limits line list lock locked login long longer lookup lower
    maintenance malformed many match matches max maximum may message method middle min minimum missing modified more most
    multiple must name namespace need needs new no node not null number object objects obtain of on one only operation
    option optional or order org organization other others out outside owner parameter parent parse parser password path
    pending permission permissions phone picklist please position possible prefix previous privileges problem process
    processed processing profile property provided queries query quota range rate read recommend record records recursion
    reference references related relationship request requested require required requires reserved resource resources
    response restricted result results retry rights role row rows rule rules run running salesforce same save saved schema
    search second security select server service session set sharing should size so soql some special specified specify
    stack standard start statement statements state status step string subject submission submit submitted success such
    support supported system table text than that the their them then there these they this time times to token too total
    transaction trigger triggers true try trying type types unable unauthorized under undefined unexpected unexpectedly
    unique unknown unsupported until up update updated updating upsert us use used user using valid validate validation
    value values version violated violation was we were what when where which while who will with within without work
    would write wrong xform xml year you your zero
";
