// SPDX-License-Identifier: Apache-2.0
//
// command_unit: executes the commands of the CMD register, one at a time.
//
// cmd_*       pulse from the register block with opcode and slot; cmd_base and cmd_nbytes (for
//             DEFINE) are taken in that cycle and may change afterwards. `busy` is high until
//             the pulse of done with its result.
// Abort       ZEROIZE (taken at any time), the pin and entry into FATAL end the command under
//             way with ABORTED and erase what it has computed.
// Closing a window of n blocks with the sums hash and cov (verifier), both divided by H^(n+1):
//     covered  <=>  count = lines  and  cov * (1 + g) = 1 + g^lines,         g = H^-4
//     tag      =    hash * H^(n+1) + len_block * H + AES_K(IV || BE32(1))
// H^(n+1) and g^lines were computed by DEFINE. All steps are taken whatever their outcome: the
// duration does not depend on where data differs.
// Cycles      CLOSE about 50 after the last burst; DEFINE about 2 products for each bit of the
//             length; the figures are in the performance table of the documentation.
//
// SEC_CM: IV.UNIQUE - tensor_id and version number come from counters here and never repeat under a key.
// SEC_CM: VERSION.SATURATE - the version number stops at its end.
// SEC_CM: TAG.COMPARE - the tag is compared in one cycle, in constant time, after coverage.
// SEC_CM: COVERAGE.HASH - a window passes only if every line was touched exactly once.
// SEC_CM: FSM.SAFE - states differ in at least two bits; one that does not exist is a fatal error and ends the command.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module command_unit #(
    parameter ADDR_W    = 40,    // address width in bits
    parameter SLOTS     = 16,    // tensor slots
    parameter SLOT_W    = 4,     // width of a slot number in bits
    parameter VERSION_W = 64,    // bits of the version number in use, 4 .. 64
    parameter OWNER     = 1      // top four bits of every tensor_id, 0 .. 15
) (
    input  wire                clk,
    input  wire                rst,

    // Register block
    input  wire                cmd_valid,
    input  wire [3:0]          cmd_opcode,
    input  wire [7:0]          cmd_slot,
    input  wire [63:0]         cmd_base,
    input  wire [63:0]         cmd_nbytes,
    output wire                busy,
    output reg                 done,
    output reg  [3:0]          done_opcode,
    output reg  [7:0]          done_slot,
    output reg  [7:0]          done_result,
    output reg                 window_fail,

    // Engine state
    input  wire [2:0]          engine_state,
    input  wire                zeroize_pin,
    output wire                zeroize,
    input  wire                fatal,          // the engine enters FATAL
    output reg                 fatal_set,      // a wrong tag, or a state that does not exist

    // Tensor table
    output wire                lock,
    output wire [SLOT_W-1:0]   slot,
    input  wire [3:0]          tt_state,
    input  wire [30:0]         tt_lines,
    input  wire [36:0]         tt_nbytes,
    input  wire [95:0]         tt_iv,
    input  wire [127:0]        tt_tag,
    input  wire [127:0]        tt_h_top,
    input  wire [127:0]        tt_g_end,
    input  wire                tt_busy,
    output wire [ADDR_W-6:0]   probe_first,
    output wire [ADDR_W-6:0]   probe_end,
    input  wire                probe_overlap,
    output wire                define,
    output wire [ADDR_W-7:0]   define_line,
    output wire [36:0]         define_nbytes,
    output wire [30:0]         define_lines,
    output wire [31:0]         define_iv_hi,
    output wire [127:0]        define_h_top,
    output wire [127:0]        define_g_end,
    output wire                bump,
    output wire                seal,
    output wire [127:0]        seal_tag,
    output wire                set_state,
    output wire [3:0]          set_state_to,
    output wire                set_result,
    output wire [7:0]          set_result_to,
    output wire                erase,

    // Verifier and write map
    output wire                vf_clear,
    input  wire [127:0]        vf_hash,
    input  wire [127:0]        vf_cov,
    input  wire [31:0]         vf_count,
    input  wire                vf_error,
    output wire                wm_clear,
    input  wire                wm_clear_ready,
    input  wire                wm_clear_done,

    // Arithmetic (key unit) and AES (read lanes)
    input  wire [127:0]        h,
    input  wire [127:0]        g,
    output wire                op_valid,
    input  wire                op_ready,
    output reg  [1:0]          op_kind,
    output reg  [127:0]        op_a,
    output reg  [127:0]        op_b,
    output reg  [36:0]         op_e,
    input  wire                op_done,
    input  wire [127:0]        op_p,
    output wire                aes_req_valid,
    input  wire                aes_req_ready,
    output wire [127:0]        aes_req_block,
    input  wire                aes_rsp_valid,
    input  wire [127:0]        aes_rsp_block
);

    localparam [127:0] ONE       = {1'b1, 127'd0};
    localparam [7:0]   DRAINED   = 8'd12;       // cycles until the last line is in the sums
    localparam [63:0]  BYTES_MAX = 64'h0000_000F_FFFF_FFE0;
    localparam [1:0]   MUL = 2'd0, POW_H = 2'd1, POW_G = 2'd2;

    // Codes of even parity: one flipped bit never leads to another state.
    localparam [5:0] IDLE      = 6'b000000;
    localparam [5:0] CHECK     = 6'b100001;
    localparam [5:0] DEF_H     = 6'b100010;  // H^(n+1)
    localparam [5:0] DEF_G     = 6'b000011;  // g^lines
    localparam [5:0] DEF_END   = 6'b100100;
    localparam [5:0] DRAIN     = 6'b000101;  // bursts under way
    localparam [5:0] FLUSH     = 6'b000110;  // lines under way
    localparam [5:0] OPEN_MAP  = 6'b100111;
    localparam [5:0] OPEN_WAIT = 6'b101000;
    localparam [5:0] OPEN_END  = 6'b001001;
    localparam [5:0] CLS_PAD   = 6'b001010;  // AES_K(IV || 1)
    localparam [5:0] CLS_PAD_W = 6'b101011;
    localparam [5:0] CLS_COV   = 6'b001100;  // cov * (1 + g)
    localparam [5:0] CLS_HASH  = 6'b101101;  // hash * H^(n+1)
    localparam [5:0] CLS_LEN   = 6'b101110;  // len_block * H
    localparam [5:0] CLS_END   = 6'b001111;
    localparam [5:0] REL_END   = 6'b110000;
    localparam [5:0] WIPE_GO   = 6'b010001;
    localparam [5:0] WIPE_WAIT = 6'b010010;

    (* fsm_encoding = "none" *)
    reg  [5:0]   fsm;
    reg          asked;          // the arithmetic request of this state was taken
    reg  [3:0]   opcode;
    reg  [7:0]   slot_byte;
    reg  [63:0]  base;           // arguments, as they were when the command was given
    reg  [63:0]  nbytes;
    reg  [7:0]   flush_count;
    reg  [127:0] sum;            // DEFINE: H^(n+1). CLOSE: the tag as it grows
    reg          cov_ok;
    reg  [24:0]  next_id;        // bit 24: no id is left
    reg  [1:0]   wipe_delay;

    assign busy = (fsm != IDLE);
    assign slot = slot_byte[SLOT_W-1:0];

    // ------------------------------------------------------------------------------------
    // Checks
    // ------------------------------------------------------------------------------------
    wire [64:0] lines_all = {1'b0, nbytes} + 65'd63;
    wire [30:0] lines     = lines_all[36:6];
    wire [64:0] blocks_all = {1'b0, nbytes} + 65'd15;
    wire [36:0] top_power = {4'd0, blocks_all[36:4]} + 37'd1;          // n + 1
    wire [63:0] end_line  = {6'd0, base[63:6]} + {33'd0, lines};
    wire        base_ok   = (base[5:0] == 6'd0) && ((base >> ADDR_W) == 64'd0);
    wire        length_ok = (nbytes != 64'd0) && (nbytes <= BYTES_MAX)
                            && (end_line <= (64'd1 << (ADDR_W - 6)));
    wire        is_open_write  = (opcode == `TTEE_OP_OPEN_WRITE);
    wire        is_close_write = (opcode == `TTEE_OP_CLOSE_WRITE);
    wire        version_end    = &tt_iv[VERSION_W-1:0];

    assign probe_first = base[ADDR_W:6];
    assign probe_end   = end_line[ADDR_W-6:0];

    reg state_ok;
    always @* begin
        case (opcode)
            `TTEE_OP_DEFINE:      state_ok = (tt_state == `TTEE_SLOT_EMPTY);
            `TTEE_OP_OPEN_WRITE:  state_ok = (tt_state == `TTEE_SLOT_DEFINED) || (tt_state == `TTEE_SLOT_WRITING)
                                             || (tt_state == `TTEE_SLOT_SEALED) || (tt_state == `TTEE_SLOT_VERIFIED)
                                             || (tt_state == `TTEE_SLOT_POISONED);
            `TTEE_OP_CLOSE_WRITE: state_ok = (tt_state == `TTEE_SLOT_WRITING);
            `TTEE_OP_OPEN_READ:   state_ok = (tt_state == `TTEE_SLOT_SEALED) || (tt_state == `TTEE_SLOT_VERIFIED);
            `TTEE_OP_CLOSE_READ:  state_ok = (tt_state == `TTEE_SLOT_READING);
            `TTEE_OP_RELEASE:     state_ok = (tt_state != `TTEE_SLOT_EMPTY) && (tt_state != `TTEE_SLOT_READING);
            default:              state_ok = 1'b0;
        endcase
    end

    reg [7:0] refusal;
    always @* begin
        refusal = `TTEE_RESULT_OK;
        if (opcode < `TTEE_OP_DEFINE || opcode > `TTEE_OP_ZEROIZE)
            refusal = `TTEE_RESULT_BAD_OPCODE;
        else if ({24'd0, slot_byte} >= SLOTS)
            refusal = `TTEE_RESULT_BAD_SLOT;
        else if (engine_state != `TTEE_STATE_READY)
            refusal = `TTEE_RESULT_NOT_READY;
        else if (!state_ok)
            refusal = `TTEE_RESULT_BAD_STATE;
        else if (opcode == `TTEE_OP_DEFINE) begin
            if      (!base_ok)      refusal = `TTEE_RESULT_BAD_BASE;
            else if (!length_ok)    refusal = `TTEE_RESULT_BAD_LENGTH;
            else if (probe_overlap) refusal = `TTEE_RESULT_OVERLAP;
            else if (next_id[24])   refusal = `TTEE_RESULT_IDS_EXHAUSTED;
        end else if (is_open_write && version_end)
            refusal = `TTEE_RESULT_VERSION_EXHAUSTED;
    end

    // ------------------------------------------------------------------------------------
    // Verdict on a window
    // ------------------------------------------------------------------------------------
    // OK is the one outcome that has to be shown; an unknown value never shows it.
    wire       covered = cov_ok && (vf_count == {1'b0, tt_lines});
    wire       passed  = !vf_error && covered && (is_close_write || (sum == tt_tag));
    reg  [7:0] verdict;
    always @* begin
        if      (passed)   verdict = `TTEE_RESULT_OK;
        else if (vf_error) verdict = `TTEE_RESULT_BUS_ERROR;
        else if (!covered) verdict = `TTEE_RESULT_COVERAGE_ERROR;
        else               verdict = `TTEE_RESULT_TAG_ERROR;
    end

    // ------------------------------------------------------------------------------------
    // What each state does to the rest of the engine
    // ------------------------------------------------------------------------------------
    wire cmd_zeroize = cmd_valid && (cmd_opcode == `TTEE_OP_ZEROIZE);
    wire wiping      = (fsm == WIPE_GO) || (fsm == WIPE_WAIT);
    wire abort       = cmd_zeroize || zeroize_pin || fatal;
    wire act         = !abort;
    wire defining    = (fsm == DEF_H) || (fsm == DEF_G) || (fsm == DEF_END);

    assign lock          = !((fsm == IDLE) || (fsm == CHECK) || defining || wiping);
    assign define        = act && (fsm == DEF_END);
    assign define_line   = base[ADDR_W-1:6];
    assign define_nbytes = nbytes[36:0];
    assign define_lines  = lines;
    assign define_iv_hi  = {4'd0, OWNER[3:0], next_id[23:0]};
    assign define_h_top  = sum;
    assign define_g_end  = op_p;
    assign bump          = act && (fsm == OPEN_MAP) && is_open_write && wm_clear_ready;
    assign vf_clear      = (fsm == OPEN_END) || define || erase;
    assign wm_clear      = (fsm == OPEN_MAP) && is_open_write;
    assign seal          = act && (fsm == CLS_END) && is_close_write && passed;
    assign seal_tag      = sum;
    assign set_state     = act && ((fsm == DEF_END) || (fsm == OPEN_END) || (fsm == CLS_END));
    assign set_state_to  = (fsm == DEF_END)  ? `TTEE_SLOT_DEFINED :
                           (fsm == OPEN_END) ? (is_open_write ? `TTEE_SLOT_WRITING : `TTEE_SLOT_READING) :
                           is_close_write    ? (passed ? `TTEE_SLOT_SEALED : `TTEE_SLOT_DEFINED) :
                                               (passed ? `TTEE_SLOT_VERIFIED : `TTEE_SLOT_POISONED);
    assign set_result    = act && (fsm == CLS_END);
    assign set_result_to = verdict;
    assign erase         = act && (fsm == REL_END);
    assign zeroize       = (fsm == WIPE_GO) || zeroize_pin;

    assign aes_req_valid = (fsm == CLS_PAD);
    assign aes_req_block = {tt_iv, 32'd1};

    wire computes = (fsm == DEF_H) || (fsm == DEF_G) || (fsm == CLS_COV) || (fsm == CLS_HASH) || (fsm == CLS_LEN);
    assign op_valid = computes && !asked;
    wire   op_end   = asked && op_done;

    always @* begin
        op_kind = MUL;
        op_a    = 128'd0;
        op_b    = 128'd0;
        op_e    = 37'd0;
        case (fsm)
            DEF_H:    begin op_kind = POW_H; op_e = top_power; end
            DEF_G:    begin op_kind = POW_G; op_e = {6'd0, lines}; end
            CLS_COV:  begin op_a = vf_cov;  op_b = g ^ ONE; end
            CLS_HASH: begin op_a = vf_hash; op_b = tt_h_top; end
            CLS_LEN:  begin op_a = {64'd0, 24'd0, tt_nbytes, 3'd0}; op_b = h; end
            default: ;
        endcase
    end

    // ------------------------------------------------------------------------------------
    // Sequence
    // ------------------------------------------------------------------------------------
    always @(posedge clk) begin
        done        <= 1'b0;
        window_fail <= 1'b0;
        fatal_set   <= 1'b0;
        if (rst) begin
            fsm         <= IDLE;
            asked       <= 1'b0;
            opcode      <= 4'd0;
            slot_byte   <= 8'd0;
            base        <= 64'd0;
            nbytes      <= 64'd0;
            flush_count <= 8'd0;
            sum         <= 128'd0;
            cov_ok      <= 1'b0;
            next_id     <= 25'd1;
            wipe_delay  <= 2'd0;
            done_opcode <= 4'd0;
            done_slot   <= 8'd0;
            done_result <= `TTEE_RESULT_OK;
        end else if (abort) begin
            // next_id goes on: should the key ever return, no (tensor_id, version) does.
            asked  <= 1'b0;
            sum    <= 128'd0;
            cov_ok <= 1'b0;
            if (wiping) begin
                if (cmd_zeroize || zeroize_pin) fsm <= WIPE_GO;
            end else begin
                if (busy || (cmd_valid && !cmd_zeroize)) begin
                    done        <= 1'b1;
                    done_opcode <= busy ? opcode : cmd_opcode;
                    done_slot   <= busy ? slot_byte : cmd_slot;
                    done_result <= `TTEE_RESULT_ABORTED;
                end
                fsm <= IDLE;
                if (cmd_zeroize) begin
                    opcode    <= cmd_opcode;
                    slot_byte <= cmd_slot;
                    fsm       <= WIPE_GO;
                end
            end
        end else begin
            if (op_valid && op_ready) asked <= 1'b1;
            if (op_end) asked <= 1'b0;
            done_opcode <= opcode;
            done_slot   <= slot_byte;
            case (fsm)
                IDLE: if (cmd_valid) begin
                    opcode    <= cmd_opcode;
                    slot_byte <= cmd_slot;
                    base      <= cmd_base;
                    nbytes    <= cmd_nbytes;
                    fsm       <= CHECK;
                end
                CHECK: begin
                    if (refusal != `TTEE_RESULT_OK) begin
                        done        <= 1'b1;
                        done_result <= refusal;
                        fsm         <= IDLE;
                    end else case (opcode)
                        `TTEE_OP_DEFINE:    fsm <= DEF_H;
                        `TTEE_OP_OPEN_READ: fsm <= OPEN_END;
                        default:            fsm <= DRAIN;
                    endcase
                end
                DEF_H: if (op_end) begin
                    sum <= op_p;
                    fsm <= DEF_G;
                end
                DEF_G: if (op_end) fsm <= DEF_END;
                DEF_END: begin
                    next_id     <= next_id + 25'd1;
                    sum         <= 128'd0;
                    done        <= 1'b1;
                    done_result <= `TTEE_RESULT_OK;
                    fsm         <= IDLE;
                end
                DRAIN: begin
                    flush_count <= DRAINED;
                    if (!tt_busy) fsm <= FLUSH;
                end
                FLUSH: begin
                    flush_count <= flush_count - 8'd1;
                    if (flush_count == 8'd0) begin
                        case (opcode)
                            `TTEE_OP_OPEN_WRITE: fsm <= OPEN_MAP;
                            `TTEE_OP_RELEASE:    fsm <= REL_END;
                            default:             fsm <= CLS_PAD;
                        endcase
                    end
                end
                OPEN_MAP:  if (wm_clear_ready) fsm <= OPEN_WAIT;
                OPEN_WAIT: if (wm_clear_done)  fsm <= OPEN_END;
                OPEN_END: begin
                    done        <= 1'b1;
                    done_result <= `TTEE_RESULT_OK;
                    fsm         <= IDLE;
                end
                CLS_PAD:   if (aes_req_ready) fsm <= CLS_PAD_W;
                CLS_PAD_W: if (aes_rsp_valid) begin
                    sum <= aes_rsp_block;
                    fsm <= CLS_COV;
                end
                CLS_COV: if (op_end) begin
                    cov_ok <= (op_p == (tt_g_end ^ ONE));
                    fsm    <= CLS_HASH;
                end
                CLS_HASH: if (op_end) begin
                    sum <= sum ^ op_p;
                    fsm <= CLS_LEN;
                end
                CLS_LEN: if (op_end) begin
                    sum <= sum ^ op_p;
                    fsm <= CLS_END;
                end
                CLS_END: begin
                    sum         <= 128'd0;
                    cov_ok      <= 1'b0;
                    done        <= 1'b1;
                    done_result <= verdict;
                    window_fail <= !passed;
                    fatal_set   <= (verdict == `TTEE_RESULT_TAG_ERROR);
                    fsm         <= IDLE;
                end
                REL_END: begin
                    done        <= 1'b1;
                    done_result <= `TTEE_RESULT_OK;
                    fsm         <= IDLE;
                end
                WIPE_GO: begin
                    wipe_delay <= 2'd3;
                    fsm        <= WIPE_WAIT;
                end
                WIPE_WAIT: begin
                    if (wipe_delay != 2'd0) begin
                        wipe_delay <= wipe_delay - 2'd1;
                    end else if (engine_state != `TTEE_STATE_WIPE) begin
                        done        <= 1'b1;
                        done_result <= `TTEE_RESULT_OK;
                        fsm         <= IDLE;
                    end
                end
                default: begin
                    sum         <= 128'd0;
                    cov_ok      <= 1'b0;
                    fatal_set   <= 1'b1;
                    done        <= 1'b1;
                    done_result <= `TTEE_RESULT_ABORTED;
                    fsm         <= IDLE;
                    // It was IDLE, and a command had just been accepted: the answer is that one's.
                    if (cmd_valid) begin
                        done_opcode <= cmd_opcode;
                        done_slot   <= cmd_slot;
                    end
                end
            endcase
        end
    end

    wire _unused = &{1'b0, lines_all, blocks_all, end_line, base[63:ADDR_W], tt_iv[95:0]};

endmodule

`resetall
